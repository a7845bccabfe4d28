// Two phones of one patient, offline and online, with RxDB and with WatermelonDB, against a sandbox. Each scene looks at
// what the server holds afterwards, by plain reads, and at what the phones hold. `.ci/client` runs it with the address.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Database, Model, appSchema } from "@nozbe/watermelondb";
import loki from "@nozbe/watermelondb/adapters/lokijs/index.js";
import { logger } from "@nozbe/watermelondb/utils/common/index.js";
import createClient from "openapi-fetch";
import { createRxDatabase } from "rxdb";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { firstValueFrom } from "rxjs";
import { type EntryDocument, entryConflicts, entrySchema, replicateEntries } from "./rxdb.js";
import { type Clash, type Entry, type Section, type Sections, SECTIONS, watch } from "./sync.js";
import type { paths } from "./target/afterglow.d.ts";
import { entriesTable, synchronizeEntries } from "./watermelon.js";

const server = process.argv[2] ?? "http://127.0.0.1:8080";

/** What the app does with its local database, and what it sees there. */
interface Phone {
  line: Line;
  /** Makes or changes an entry. */
  write(id: string, sections: Sections): Promise<void>;
  remove(id: string): Promise<void>;
  /** Syncs until all is sent and fetched, or fails. */
  sync(): Promise<void>;
  all(): Promise<Entry[]>;
  /** What the server did not take of an entry. */
  held(id: string): Promise<Sections | undefined>;
  close(): Promise<void>;
  /** Syncs all the time, and answers what is called when there may be something new. */
  live?: () => Promise<() => void>;
}
type Make = (name: string, clash?: Clash) => Promise<Phone>;

/** The way from a phone to the server, which can fail. */
class Line {
  token = "";
  /** Loses the answer to the next batch, after the server has done it. */
  loses = false;
  /** Lets a server answer that forgets: as if it had stored the next batch, and then been restored from a backup. */
  forgets = false;
  /** Each request, and the results of each batch. */
  requests: string[] = [];
  statuses: string[] = [];
  api = createClient<paths>({ baseUrl: server, fetch: (request) => this.send(request) });

  private async send(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname.replace("/v1/patients/me", "");
    this.requests.push(path);
    const batch = path === "/mutations";
    if (batch && this.forgets) {
      this.forgets = false;
      const { epoch, mutations } = (await request.json()) as { epoch: string; mutations: { base_version: number }[] };
      const results = mutations.map((one) => ({ status: "applied", version: one.base_version + 1 }));
      return Response.json({ epoch, results });
    }
    request.headers.set("authorization", `Bearer ${this.token}`);
    const response = await fetch(request);
    if (!batch || !response.ok) return response;
    if (this.loses) {
      this.loses = false;
      throw new TypeError("the answer was lost");
    }
    const answer = (await response.clone().json()) as { results: { status: string }[] };
    this.statuses.push(...answer.results.map(({ status }) => status));
    return response;
  }

  /** The results since the last time. */
  came(): string[] {
    return this.statuses.splice(0);
  }
}

async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(server + path, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return (await answer.json()) as T;
}

interface LogIn {
  account: { patient_id: string };
  tokens: { access_token: string };
}

function logIn(): Promise<LogIn> {
  return post("/v1/auth/login", { email: "mara@example.org", passphrase: "lanterns over the lake" });
}

async function token(): Promise<string> {
  return (await logIn()).tokens.access_token;
}

const patient = (await logIn()).account.patient_id;
/** The token of plain reads. */
let reading = await token();

async function get(path: string): Promise<Response> {
  return fetch(server + path, { headers: { authorization: `Bearer ${reading}` } });
}

type Stored = Omit<Entry, "text"> & { text?: { body?: string } };

/** An entry of the server: undefined if it is not there, or was deleted. */
async function stored(id: string): Promise<Stored | undefined> {
  const answer = await get(`/v1/patients/me/entries/${id}`);
  if (answer.status === 404 || answer.status === 410) return undefined;
  assert.equal(answer.status, 200);
  return (await answer.json()) as Stored;
}

async function storedIds(): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor = ""; ; ) {
    const answer = await get(`/v1/patients/me/entries?limit=200${cursor && `&cursor=${cursor}`}`);
    const page = (await answer.json()) as { items: { id: string }[]; next_cursor?: string };
    ids.push(...page.items.map(({ id }) => id));
    if (page.next_cursor === undefined) return ids;
    cursor = page.next_cursor;
  }
}

const rxdb: Make = async (name, clash = "keep_both") => {
  const line = new Line();
  line.token = await token();
  const database = await createRxDatabase({ name: name + randomUUID(), storage: getRxStorageMemory() });
  const made = await database.addCollections({
    entries: { schema: entrySchema, conflictHandler: entryConflicts, localDocuments: true },
  });
  const collection = made.entries as import("rxdb").RxCollection<EntryDocument>;
  const held = new Map<string, Sections>();
  const { replication, wake } = replicateEntries({
    collection, api: line.api, patient, clash, retryTime: 1,
    hold: async (id, sections, code) => void held.set(id, { ...sections, ...(code === "conflict" ? {} : { code }) }),
  });
  await replication.startPromise;
  await replication.pause();
  return {
    line,
    write: async (id, sections) => {
      const there = await collection.findOne(id).exec();
      if (there) await there.incrementalPatch(sections);
      else await collection.insert({ id, version: 0, ...sections });
    },
    remove: async (id) => void (await collection.findOne(id).exec())?.remove(),
    // Offline is a paused replication: what was typed meanwhile goes out together.
    sync: async () => {
      const failed = firstValueFrom(replication.error$).then((error) => {
        throw error;
      });
      failed.catch(() => undefined);
      await replication.start();
      await Promise.race([replication.awaitInSync(), failed]).finally(() => replication.pause());
    },
    live: async () => {
      await replication.start();
      return wake;
    },
    all: async () => {
      const all = await collection.find().exec();
      return all.map((one) => ({ ...one.toMutableJSON(), deleted: false }));
    },
    held: async (id) => held.get(id),
    close: async () => void (await database.close()),
  };
};

logger.silence();
const Loki = loki.default;
class EntryModel extends Model {
  static override table = "entries";
}

const watermelon: Make = async (name, clash = "keep_both") => {
  const line = new Line();
  line.token = await token();
  const schema = appSchema({ version: 1, tables: [entriesTable] });
  const adapter = new Loki({ schema, useWebWorker: false, useIncrementalIndexedDB: false, dbName: name + randomUUID() });
  const database = new Database({ adapter, modelClasses: [EntryModel] });
  const table = database.get<EntryModel>("entries");
  const refused = new Map<string, string>();
  const find = async (id: string) => (await table.query().fetch()).find((one) => one.id === id);
  const set = (record: EntryModel, sections: Sections) => {
    for (const [column, value] of Object.entries(sections)) record._setRaw(column as never, JSON.stringify(value));
  };
  const raw = (record: EntryModel) => record._raw as unknown as Record<string, never>;
  return {
    line,
    write: (id, sections) =>
      database.write(async () => {
        const there = await find(id);
        if (there) await there.update((record) => set(record, sections));
        else {
          await table.create((record) => {
            raw(record)["id"] = id as never;
            record._setRaw("version" as never, 0);
            set(record, sections);
          });
        }
      }),
    remove: (id) =>
      database.write(async () => void (await (await find(id))?.update((one) => one._setRaw("deleted" as never, true)))),
    sync: () =>
      synchronizeEntries({ database, api: line.api, patient, clash, rejected: (id, code) => void refused.set(id, code) }),
    all: async () => {
      const live = (await table.query().fetch()).map(raw).filter((one) => !one["deleted"]);
      return live.map((one) => {
        const sections = SECTIONS.filter((section) => one[section] !== null);
        const parsed = Object.fromEntries(sections.map((section) => [section, JSON.parse(one[section]!)]));
        return { id: one["id"]!, version: one["version"]!, deleted: false, ...parsed };
      });
    },
    held: async (id) => {
      const record = await find(id);
      const held = record && raw(record)["held"];
      const code = refused.get(id);
      return held ? JSON.parse(held) : code && { code };
    },
    close: async () => undefined,
  };
};

const header = { kind: "note", status: "done", occurred_at: "2026-03-10T07:30:00Z" };
const text = (body: string) => ({ body });

/** Syncs; a round that met something is followed by another, as an app's timer would do. */
async function settleAll(...phones: Phone[]): Promise<void> {
  for (let round = 0; round < 3; round++) for (const phone of phones) await phone.sync();
}

async function one(phone: Phone, id: string): Promise<Entry | undefined> {
  return (await phone.all()).find((entry) => entry.id === id);
}

async function bodyOn(phone: Phone, id: string): Promise<string | undefined> {
  return ((await one(phone, id))?.text as { body?: string } | undefined)?.body;
}

/** The phone and the server hold the same entries, section by section. */
async function assertEqual(phone: Phone): Promise<void> {
  const entries = await phone.all();
  assert.deepEqual(entries.map(({ id }) => id).sort(), (await storedIds()).sort());
  for (const entry of entries.slice(0, 40)) {
    const there = await stored(entry.id);
    assert.equal(there?.version, entry.version, entry.id);
    for (const section of ["text", "mood", "tags"] satisfies Section[]) {
      // A plain read shows a section that is empty, a pull leaves it out.
      const none = section === "tags" ? [] : null;
      assert.deepEqual(there?.[section] ?? none, entry[section] ?? none, `${entry.id} ${section}`);
    }
  }
}

async function story(make: Make, other: Make): Promise<void> {
  const a = await make("a");
  const b = await other("b");

  // What is written offline arrives, here and there.
  const lake = randomUUID();
  await a.write(lake, { header, text: text("The lake was quiet."), mood: { valence: 7 }, tags: ["lake"] });
  await a.sync();
  assert.deepEqual(a.line.came(), ["applied"]);
  assert.equal((await stored(lake))?.text?.body, "The lake was quiet.");
  await b.sync();
  assert.equal(await bodyOn(b, lake), "The lake was quiet.");

  // A phone that writes alone meets no conflict, however often it writes between two pulls.
  const first = (await stored(lake))?.version ?? 0;
  for (const body of ["one", "two", "three"]) {
    await a.write(lake, { text: text(body) });
    await a.sync();
  }
  assert.deepEqual(a.line.came(), ["applied", "applied", "applied"]);
  assert.equal((await stored(lake))?.version, first + 3);
  await settleAll(a, b);
  assert.deepEqual([...a.line.came(), ...b.line.came()], [], "nothing is sent twice");

  // merged: what both added is there.
  await a.write(lake, { tags: ["lake", "walk"] });
  await b.write(lake, { tags: ["lake", "quiet"] });
  await a.sync();
  await b.sync();
  assert.deepEqual(b.line.came(), ["merged"]);
  await settleAll(a, b);
  const tags = ["lake", "quiet", "walk"];
  for (const held of [await stored(lake), await one(a, lake), await one(b, lake)]) {
    assert.deepEqual((held?.tags as string[]).sort(), tags);
  }
  a.line.came();

  // sibling: of two texts the second becomes a draft.
  await a.write(lake, { text: text("as a has it") });
  await b.write(lake, { text: text("as b has it") });
  await a.sync();
  await b.sync();
  assert.deepEqual([...a.line.came(), ...b.line.came()], ["applied", "merged"]);
  assert.equal((await stored(lake))?.text?.body, "as a has it");
  await settleAll(a, b);
  for (const phone of [a, b]) {
    assert.equal(await bodyOn(phone, lake), "as a has it");
    const draft = (await phone.all()).find((entry) => (entry.header as { copy_of?: string }).copy_of === lake);
    assert.deepEqual(draft?.text, text("as b has it"));
    assert.equal((await stored(draft?.id ?? ""))?.text?.body, "as b has it");
  }

  // conflict: nothing is stored until the person has decided, and nothing is lost.
  const c = await other("c", "ask");
  await c.sync();
  await a.write(lake, { text: text("a again") });
  await c.write(lake, { text: text("c wants this") });
  await a.sync();
  await c.sync();
  assert.deepEqual(c.line.came(), ["conflict"]);
  assert.equal((await stored(lake))?.text?.body, "a again");
  assert.equal(await bodyOn(c, lake), "a again");
  assert.deepEqual((await c.held(lake))?.text, text("c wants this"));
  await c.write(lake, { text: text("a again, and c wants this") });
  await c.sync();
  assert.deepEqual(c.line.came(), ["applied"]);
  assert.equal((await stored(lake))?.text?.body, "a again, and c wants this");
  await settleAll(a, b, c);
  a.line.came();

  // replayed: the answer is lost, and the person types on.
  const before = (await stored(lake))?.version ?? 0;
  const walk = randomUUID();
  await a.write(walk, { header, text: text("A short walk.") });
  await a.write(lake, { text: text("sent once") });
  a.line.loses = true;
  await assert.rejects(a.sync());
  assert.equal((await stored(lake))?.text?.body, "sent once", "the server has done it");
  await a.write(lake, { text: text("and typed on") });
  await settleAll(a);
  assert.deepEqual(a.line.came().sort(), ["applied", "replayed", "replayed"]);
  assert.equal((await stored(lake))?.text?.body, "and typed on");
  assert.equal((await stored(lake))?.version, before + 2, "each was stored once");
  assert.equal((await stored(walk))?.text?.body, "A short walk.");
  await settleAll(a, b);

  // Deletion, from either phone.
  const [mine, yours, edited, kept] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  for (const id of [mine, yours, edited, kept]) await a.write(id, { header, text: text(id) });
  await settleAll(a, b);
  await a.remove(mine);
  await b.remove(yours);
  await settleAll(a, b);
  for (const id of [mine, yours]) {
    assert.equal(await stored(id), undefined);
    for (const phone of [a, b]) assert.equal(await one(phone, id), undefined);
  }
  // Words win over it, in whichever order they arrive.
  a.line.came();
  b.line.came();
  await a.write(kept, { text: text("newer words") });
  await b.remove(kept);
  await a.remove(edited);
  await b.write(edited, { text: text("typed meanwhile") });
  await a.sync();
  await b.sync();
  assert.deepEqual(b.line.came(), ["merged", "merged"]);
  await settleAll(a, b);
  for (const [id, words] of [[kept, "newer words"], [edited, "typed meanwhile"]] as const) {
    assert.equal((await stored(id))?.text?.body, words);
    for (const phone of [a, b]) assert.equal(await bodyOn(phone, id), words);
  }

  // rejected: it harms no other, and the words stay with the person.
  a.line.came();
  const refused = "0192c0de-0000-1000-8000-000000000001";
  const fine = randomUUID();
  await a.write(refused, { header, text: text("under an id that no phone may make") });
  await a.write(fine, { header, text: text("beside it") });
  await settleAll(a);
  assert.ok(a.line.came().includes("rejected"));
  assert.equal(await stored(refused), undefined);
  assert.equal((await stored(fine))?.text?.body, "beside it");
  assert.equal(await bodyOn(a, refused), "under an id that no phone may make");
  assert.equal(((await a.held(refused)) as { code?: string }).code, "invalid");
  await a.remove(refused);
  await settleAll(a, b);

  // 401: log in again. Nothing is deleted for it, and nothing is lost.
  const count = (await a.all()).length;
  const good = a.line.token;
  a.line.token = "void";
  await a.write(fine, { text: text("while logged out") });
  await assert.rejects(a.sync(), /401/);
  assert.equal((await a.all()).length, count);
  a.line.token = good;
  await settleAll(a);
  assert.equal((await stored(fine))?.text?.body, "while logged out");
  await settleAll(b);
  await assertEqual(a);
  await assertEqual(b);

  // 410: the server took these, and was restored from a backup that had none of them.
  const [forgotten, unsent, gone] = [randomUUID(), randomUUID(), walk];
  await a.write(forgotten, { header, text: text("acknowledged, and forgotten") });
  await a.write(lake, { text: text("newer than the backup") });
  await a.remove(edited);
  a.line.forgets = true;
  await a.sync();
  assert.equal(await stored(forgotten), undefined);
  assert.equal((await stored(edited))?.text?.body, "typed meanwhile", "its deletion is forgotten, too");
  await b.remove(gone);
  await b.sync();
  const held = new Set((await a.all()).map(({ id }) => id));
  await a.write(unsent, { header, text: text("not sent yet") });
  await post("/sandbox/epoch", {});
  // All sessions have ended: 401 comes first, and the 410 after the log-in.
  await assert.rejects(a.sync(), /401/);
  for (const phone of [a, b]) phone.line.token = await token();
  reading = await token();
  a.line.requests.length = 0;
  await settleAll(a);
  assert.deepEqual(a.line.requests[1], "/integrity", "it asks before it pulls");
  assert.equal((await stored(forgotten))?.text?.body, "acknowledged, and forgotten");
  assert.equal((await stored(lake))?.text?.body, "newer than the backup");
  assert.equal(await stored(edited), undefined);
  assert.equal((await stored(unsent))?.text?.body, "not sent yet");
  held.add(unsent);
  held.delete(gone);
  assert.deepEqual(new Set((await a.all()).map(({ id }) => id)), held, "410 deletes nothing but what is deleted");
  await settleAll(a, b);
  await assertEqual(a);
  await assertEqual(b);
  const have = (await a.all()).map(({ id, version }) => ({ kind: "entry", id, version }));
  const params = { path: { patient_id: "me" } };
  const again = await a.line.api.POST("/v1/patients/{patient_id}/integrity", { params, body: { epoch: "", have } });
  assert.deepEqual(again.data?.differ, [], "the second comparison finds no difference");

  for (const phone of [a, b, c]) await phone.close();
}

async function stream(make: Make): Promise<void> {
  const [a, b] = [await make("a"), await make("b")];
  await b.sync();
  const stop = new AbortController();
  const wake = (await b.live?.()) ?? assert.fail();
  let woken = 0;
  const end = watch(b.line.api, () => void (woken++, wake()), stop.signal).catch(() => undefined);
  const seen = randomUUID();
  await a.write(seen, { header, text: text("The other phone shows it by itself.") });
  await a.sync();
  for (let tries = 0; tries < 100 && (await one(b, seen)) === undefined; tries++) {
    await new Promise((next) => setTimeout(next, 50));
  }
  assert.equal(await bodyOn(b, seen), "The other phone shows it by itself.");
  assert.ok(woken > 0);
  stop.abort();
  await end;
  for (const phone of [a, b]) await phone.close();
}

await story(rxdb, rxdb);
console.log("two phones with RxDB and the server hold the same");
await story(watermelon, watermelon);
console.log("two phones with WatermelonDB and the server hold the same");
await story(rxdb, watermelon);
await stream(rxdb);
console.log("and one of each; a stream woke RxDB");
process.exit(0);
