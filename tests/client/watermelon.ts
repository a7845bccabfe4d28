// Afterglow for WatermelonDB: the two functions that its `synchronize` asks for. Copy it together with `sync.ts`.
//
// WatermelonDB pulls first and puts the columns that were changed here over the newer record. Both are stopped: a batch
// that is unanswered is repeated before anything is asked, and no pull touches a record with changes.

import type { Database, Model, RawRecord } from "@nozbe/watermelondb";
import { Q, tableSchema } from "@nozbe/watermelondb";
import { sanitizedRaw } from "@nozbe/watermelondb/RawRecord/index.js";
import type { SyncArgs, SyncTableChangeSet } from "@nozbe/watermelondb/sync/index.js";
import { synchronize } from "@nozbe/watermelondb/sync/index.js";
import type { Api, Clash, Entry, Mutation, Section, Sections, Settled } from "./sync.js";
import { compare, entriesOf, mutation, present, pull, push, rebase, Resync, SECTIONS, settle } from "./sync.js";

const TABLE = "entries";
const json = (name: string) => ({ name, type: "string", isOptional: true }) as const;

/**
 * Sections are columns of JSON. An app deletes by setting `deleted`: WatermelonDB would destroy the record when the server
 * says that it was deleted, with what was written since. `held` is what the server did not take: the app shows it.
 */
export const entriesTable = tableSchema({
  name: TABLE,
  columns: [
    ...SECTIONS.map(json),
    { name: "version", type: "number" },
    { name: "deleted", type: "boolean", isIndexed: true },
    json("held"),
  ],
});

type Raw = RawRecord & Record<string, string | number | boolean | null>;
type Column = Section | "deleted";
const COLUMNS: Column[] = [...SECTIONS, "deleted"];

type Sent = [Entry, Section[]];

/** What was sent and not answered: it is sent again as it was. */
interface Frozen {
  epoch: string;
  mutations: Mutation[];
  sent: Sent[];
}

/** What is kept in the local storage of the database. */
interface SyncState {
  epoch?: string;
  frozen?: Frozen;
  /** Whether the answer to a 410 was not taken to its end. */
  asking?: boolean;
  /** The cursors of the last pages, by what WatermelonDB stores with their records in one transaction. */
  cursors: [timestamp: number, cursor: string][];
  /** Where the pull after a 410 begins. */
  start?: string;
}

const dirty = (raw: RawRecord) => raw._status !== "synced";

function entryOf(raw: Raw): Entry {
  const entry: Entry = { id: raw.id, version: Number(raw["version"]), deleted: raw["deleted"] === true };
  for (const one of SECTIONS) if (typeof raw[one] === "string") entry[one] = JSON.parse(raw[one]);
  return entry;
}

function rawOf({ id, version, deleted, ...sections }: Entry): { id: string } & Record<string, unknown> {
  const columns = SECTIONS.map((one) => [one, sections[one] == null ? null : JSON.stringify(sections[one])]);
  return { id, version, deleted, ...Object.fromEntries(columns) };
}

export interface Options {
  database: Database;
  api: Api;
  patient: string;
  clash: Clash;
  /** Shows the person that an entry cannot be stored, and why. It stays as it is, and is tried again. */
  rejected: (id: string, code: string) => void;
}

/** Does one round. Call it when the stream says `more`, when the app is opened, after a change, and from time to time. */
export async function synchronizeEntries({ database, api, patient, clash, rejected }: Options): Promise<void> {
  const table = database.get<Model>(TABLE);
  const load = async () => (await database.localStorage.get<SyncState>("afterglow")) ?? { cursors: [] };
  const save = (state: SyncState) => database.localStorage.set("afterglow", state);
  const records = () => table.query().fetch();
  const found = async (id: string) => (await table.query(Q.where("id", id)).fetch())[0];

  /** Prepares the write of a record with exactly these changes: what is not named in them is what the server has. */
  function write(record: Model, entry: Entry, changes: Column[], held: Sections): Model {
    const before = record._raw as Raw;
    const kept = { ...(before["held"] === null ? {} : JSON.parse(String(before["held"]))), ...held };
    return record.prepareUpdate(() => {
      const _status = changes.length === 0 ? "synced" : entry.version === 0 ? "created" : "updated";
      const raw = { ...before, ...rawOf(entry), held: Object.keys(kept).length > 0 ? JSON.stringify(kept) : null };
      record._raw = sanitizedRaw({ ...raw, _status, _changed: changes.join(",") }, table.schema);
    });
  }

  /** Puts the outcome of a mutation into the record, which may have been changed since it was sent. */
  function settled(record: Model, sent: Entry, outcome: Settled): Model {
    const now = entryOf(record._raw as Raw);
    if (outcome.again === true) return write(record, { ...now, version: 0 }, COLUMNS, {});
    const { entry, sections, turned, held } = rebase(now, sent, outcome);
    return write(record, entry, turned ? [...sections, "deleted"] : sections, held);
  }

  /** Sends the frozen batch until it is answered, and settles it. Answers the ids that stay as they are. */
  async function sendFrozen(state: SyncState): Promise<string[]> {
    const { frozen, ...rest } = state;
    if (frozen === undefined) return [];
    const results = await push(api, frozen.epoch, frozen.mutations);
    const refused: [id: string, code: string][] = [];
    await database.write(async () => {
      const writes: Model[] = [];
      for (const [at, [sent, sections]] of frozen.sent.entries()) {
        const outcome = settle(sent, sections, results[at]!);
        const record = await found(sent.id);
        if (outcome.rejected !== undefined) refused.push([sent.id, outcome.rejected]);
        else if (record) writes.push(settled(record, sent, outcome));
        const { sibling } = outcome;
        if (sibling && !(await found(sibling.id))) {
          writes.push(table.prepareCreateFromDirtyRaw({ ...rawOf(sibling), _status: "synced", _changed: "" }));
        }
      }
      await database.batch(writes);
    });
    // A crash before this line sends the batch again: its answers are the same.
    await save(rest);
    refused.forEach(([id, code]) => rejected(id, code));
    return refused.map(([id]) => id);
  }

  /** Keeps everything, asks what the server lacks, and marks it. Then a pull from the start may come. */
  async function dance(state: SyncState): Promise<void> {
    const all = await records();
    const copies = all.map((record) => entryOf(record._raw as Raw)).filter((one) => one.version > 0);
    const { epoch, lost, unknown, gone, start } = await compare(api, state.epoch ?? "", copies);
    await database.write(async () => {
      const marks = all.flatMap((record) => {
        const entry = entryOf(record._raw as Raw);
        if (unknown.has(entry.id) && entry.deleted) return [record.prepareDestroyPermanently()];
        if (unknown.has(entry.id)) return [write(record, { ...entry, version: 0 }, COLUMNS, {})];
        if (lost.has(entry.id)) return [write(record, entry, COLUMNS, {})];
        const version = gone.get(entry.id);
        if (version === undefined || dirty(record._raw)) return [];
        return [write(record, { id: entry.id, version, deleted: true }, [], {})];
      });
      await database.batch(marks);
    });
    // The batch is thawed: what it held is still in the records.
    await save({ epoch, cursors: [], start });
  }

  /** Does `work`; a 410 on the way is answered first, and one that was left unanswered before. */
  async function inEpoch<T>(work: (state: SyncState) => Promise<T>): Promise<T> {
    for (;;) {
      const state = await load();
      try {
        if (state.asking === true) await dance(state);
        else return await work(state);
      } catch (error) {
        if (!(error instanceof Resync)) throw error;
        await save({ ...state, asking: true });
      }
    }
  }

  const pullChanges: SyncArgs["pullChanges"] = ({ lastPulledAt }) =>
    inEpoch(async (before) => {
      await sendFrozen(before);
      let state = await load();
      let cursor = state.cursors.find(([timestamp]) => timestamp === lastPulledAt)?.[1] ?? state.start;
      const newest = new Map<string, Entry>();
      for (;;) {
        const page = await pull(api, cursor);
        // Copies of another epoch must be compared before anything is pulled over them.
        if (state.epoch !== undefined && state.epoch !== page.epoch) throw new Resync(410, "resync_required");
        state = { ...state, epoch: page.epoch };
        for (const entry of entriesOf(page.items)) newest.set(entry.id, entry);
        cursor = page.cursor;
        if (page.has_more) continue;
        const timestamp = Math.max(page.seq, 1);
        const others = state.cursors.filter(([at]) => at === lastPulledAt && at !== timestamp);
        await save({ ...state, cursors: [...others, [timestamp, cursor]] });
        const updated = [...newest.values()].map(rawOf);
        return { changes: { [TABLE]: { created: [], updated, deleted: [] } }, timestamp };
      }
    });

  const pushChanges: NonNullable<SyncArgs["pushChanges"]> = async ({ changes }) => {
    const { created, updated } = (changes as { [table: string]: SyncTableChangeSet })[TABLE]!;
    const sent = ([...created, ...updated] as Raw[]).flatMap((raw): Sent[] => {
      const entry = entryOf(raw);
      // What was made and deleted here was never anywhere else.
      if (entry.version === 0) return entry.deleted ? [] : [[entry, present(entry)]];
      const names = raw._changed.split(",");
      const sections = SECTIONS.filter((one) => names.includes(one));
      return sections.length > 0 || names.includes("deleted") ? [[entry, sections]] : [];
    });
    const mutations = await Promise.all(sent.map(([entry, sections]) => mutation(patient, entry, sections, clash)));
    if (mutations.length === 0) return undefined;
    const stay = await inEpoch(async (state) => {
      const epoch = state.epoch ?? "";
      const frozen = { epoch, mutations, sent };
      await save({ ...state, frozen });
      return sendFrozen({ ...state, frozen });
    });
    return { experimentalRejectedIds: { [TABLE]: stay } };
  };

  await synchronize({
    database,
    pullChanges,
    pushChanges,
    sendCreatedAsUpdated: true,
    conflictResolver: (_table, local, _remote, resolved) => (dirty(local as RawRecord) ? local : resolved),
  });
}
