// Afterglow for RxDB: a replication of a collection of entries. Copy it together with `sync.ts`.
//
// RxDB never lets a pull touch a document with changes that were not pushed. What is added here: batches that are sent
// again as they were, versions, conflicts of sections, and what follows a 410.

import type {
  RxCollection,
  RxConflictHandler,
  RxJsonSchema,
  RxReplicationPullStreamItem,
  RxReplicationWriteToMasterRow,
  WithDeleted,
} from "rxdb";
import { addRxPlugin, getChangedDocumentsSince } from "rxdb";
import { RxDBLocalDocumentsPlugin } from "rxdb/plugins/local-documents";
import { replicateRxCollection } from "rxdb/plugins/replication";
import { Subject } from "rxjs";
import type { Api, Clash, Entry, Mutation, Section, Sections, Settled } from "./sync.js";
import { changed, compare, entriesOf, mutation, present, pull, push, rebase, Resync, same, settle } from "./sync.js";

addRxPlugin(RxDBLocalDocumentsPlugin);

/** An entry as a document. `lost` names the round in which the server was found to have lost it. */
export type EntryDocument = Omit<Entry, "deleted"> & { lost?: number };
type Replicated = WithDeleted<EntryDocument>;
type Sent = [Entry, Section[]];
type Row = RxReplicationWriteToMasterRow<EntryDocument>;

/** Make the collection with `localDocuments: true` and this schema and conflict handler. */
export const entrySchema: RxJsonSchema<EntryDocument> = {
  version: 0,
  primaryKey: "id",
  type: "object",
  properties: {
    id: { type: "string", maxLength: 36 },
    version: { type: "integer" },
    lost: { type: "integer" },
    header: { type: "object" },
    text: { type: "object" },
    mood: { type: "object" },
    tags: { type: "array" },
    attachments: { type: "array" },
  },
  required: ["id", "version"],
};

/** RxDB takes what the push handler answers: what this phone wrote stands in it, or was held. */
export const entryConflicts: RxConflictHandler<EntryDocument> = {
  isEqual: (a, b) => same(a, b),
  resolve: async ({ realMasterState }) => realMasterState,
};

/** Where a pull goes on. A 410 begins another round: cursors of the one before are not sent any more. */
interface Checkpoint {
  cursor?: string;
  round?: number;
}

/** What is kept beside the checkpoint, in a local document. */
interface SyncState {
  epoch?: string;
  round: number;
  /** What was sent and not answered. RxDB forgets it when it is paused or the app ends; what was typed since is apart. */
  frozen?: { epoch: string; mutations: Mutation[]; sent: Sent[] };
  /** Whether the answer to a 410 was not taken to its end. */
  asking?: boolean;
  /** Tombstones that no pull from the start brings: the pull of this round begins with them. */
  gone?: Entry[];
  /** Where the pull of this round begins. */
  start?: string;
}

const entryOf = ({ _deleted, lost, ...rest }: Replicated): Entry => ({ ...rest, deleted: _deleted });
const documentOf = ({ deleted, ...rest }: Entry): Replicated => ({ ...rest, _deleted: deleted });

export interface Options {
  collection: RxCollection<EntryDocument>;
  api: Api;
  patient: string;
  clash: Clash;
  /** Keeps what the server did not take of an entry, apart from it: the copy is then replaced. The person decides. */
  hold: (id: string, sections: Sections, code: string) => Promise<void>;
  retryTime?: number;
}

/** Starts the replication. Call `wake` when the stream says `more`, when the app is opened, and from time to time. */
export function replicateEntries({ collection, api, patient, clash, hold, retryTime = 5000 }: Options) {
  const stream$ = new Subject<RxReplicationPullStreamItem<EntryDocument, Checkpoint>>();
  const arrive = (entries: Entry[]) => stream$.next({ documents: entries.map(documentOf), checkpoint: {} });
  /** What came of entries that were sent, until RxDB knows the versions, too. */
  const answered = new Map<string, { sent: Entry; outcome: Settled }>();

  // One thing after the other: no page is asked for while a batch is unanswered.
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  };

  const load = async (): Promise<SyncState> => {
    const kept = await collection.getLocal<SyncState>("afterglow");
    return kept ? (kept.toMutableJSON().data as SyncState) : { round: 0 };
  };
  const save = (state: SyncState) => collection.upsertLocal<SyncState>("afterglow", state);

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

  /** Keeps everything, asks what the server lacks, and marks it. Then the pull begins anew, and what is marked goes out. */
  async function dance(state: SyncState): Promise<void> {
    const all = await getChangedDocumentsSince(collection.storageInstance, Number.MAX_SAFE_INTEGER);
    const copies = all.documents.map((one) => entryOf(one as unknown as Replicated)).filter((one) => one.version > 0);
    const { epoch, lost, unknown, gone, start } = await compare(api, state.epoch ?? "", copies);
    const round = state.round + 1;
    const tombstones = copies.filter((one) => one.deleted && lost.has(one.id) && !unknown.has(one.id));
    const deletions = await Promise.all(tombstones.map((one) => mutation(patient, one, [], clash)));
    if (deletions.length > 0) await push(api, epoch, deletions);
    // The answers were those of another history.
    answered.clear();
    const found = await collection.findByIds([...lost]).exec();
    for (const document of found.values()) await document.incrementalPatch({ lost: round });
    await save({ epoch, round, start, gone: [...gone].map(([id, version]) => ({ id, version, deleted: true })) });
    stream$.next("RESYNC");
  }

  const pulled = (checkpoint: Checkpoint | undefined, most: number) =>
    inEpoch(async (before) => {
      await sendFrozen(before);
      const state = await load();
      const begins = checkpoint?.round !== state.round;
      let cursor = begins ? state.start : checkpoint.cursor;
      const documents = begins ? (state.gone ?? []).map(documentOf) : [];
      for (;;) {
        const page = await pull(api, cursor);
        // Copies of another epoch must be compared before anything is pulled over them.
        if (state.epoch !== undefined && state.epoch !== page.epoch) throw new Resync(410, "resync_required");
        if (state.epoch === undefined) await save(Object.assign(state, { epoch: page.epoch }));
        documents.push(...entriesOf(page.items).map(documentOf));
        cursor = page.cursor;
        // RxDB stops asking after a page that is not full. It stores the checkpoint after the documents.
        if (!page.has_more || documents.length >= most) return { documents, checkpoint: { cursor, round: state.round } };
      }
    });

  /** Sends the frozen batch, and notes what came of it. */
  async function sendFrozen({ frozen, ...rest }: SyncState): Promise<void> {
    if (frozen === undefined) return;
    const results = await push(api, frozen.epoch, frozen.mutations);
    const again: Sent[] = [];
    for (const [at, [sent, sections]] of frozen.sent.entries()) {
      const outcome = settle(sent, sections, results[at]!);
      if (outcome.held) await hold(sent.id, outcome.held, outcome.rejected ?? "conflict");
      if (outcome.sibling) arrive([outcome.sibling]);
      if (outcome.again === true) again.push([outcome.entry, present(sent)]);
      else answered.set(sent.id, { sent, outcome });
    }
    await save(rest);
    await send(again, rest);
  }

  async function send(sent: Sent[], state: SyncState): Promise<void> {
    if (sent.length === 0) return;
    const epoch = state.epoch ?? (await pull(api, undefined)).epoch;
    const mutations = await Promise.all(sent.map(([entry, sections]) => mutation(patient, entry, sections, clash)));
    const frozen = { epoch, mutations, sent };
    await save({ ...state, frozen });
    await sendFrozen({ ...state, frozen });
  }

  /** Finds what a row has that was not sent. */
  async function unsent({ newDocumentState: now, assumedMasterState: assumed }: Row): Promise<Sent[]> {
    const known = answered.get(now.id);
    if (known && known.outcome.entry.version > (assumed?.version ?? 0)) {
      const { entry, sections, turned, held } = rebase(entryOf(now), known.sent, known.outcome);
      if (Object.keys(held).length > 0) await hold(now.id, held, "conflict");
      return sections.length > 0 || turned ? [[entry, entry.deleted ? [] : sections]] : [];
    }
    answered.delete(now.id);
    const entry = { ...entryOf(now), version: assumed?.version ?? now.version };
    const base = assumed && entryOf(assumed);
    const whole = entry.version === 0 || now.lost !== assumed?.lost;
    if (entry.deleted) return entry.version > 0 && (whole || base?.deleted !== true) ? [[entry, []]] : [];
    const sections = whole ? present(entry) : changed(entry, base ?? {});
    return sections.length > 0 || base?.deleted === true ? [[entry, sections]] : [];
  }

  /** Answers the documents as the server has them: with their versions, that is otherwise than RxDB would assume. */
  const pushed = (rows: Row[]) =>
    inEpoch(async (before) => {
      await sendFrozen(before);
      await send((await Promise.all(rows.map(unsent))).flat(), await load());
      const found = rows.map(({ newDocumentState: now }) => answered.get(now.id)?.outcome.entry);
      return found.flatMap((entry) => (entry ? [documentOf(entry)] : []));
    });

  const replication = replicateRxCollection<EntryDocument, Checkpoint>({
    collection,
    replicationIdentifier: "afterglow-entries",
    retryTime,
    pull: { handler: (checkpoint, most) => alone(() => pulled(checkpoint, most)), batchSize: 200, stream$ },
    push: { handler: (rows) => alone(() => pushed(rows)), batchSize: 100 },
  });
  return { replication, wake: () => stream$.next("RESYNC") };
}
