// What both adapters share: the words of the protocol, and the rules that keep a person's words.

import type { Client } from "openapi-fetch";
import type { components, paths } from "./target/afterglow.d.ts";

type Schemas = components["schemas"];
export type Api = Client<paths>;
type Item = Schemas["SyncItem"];
type Result = Schemas["MutationResult"];
export type Mutation = Schemas["SyncMutation"];

/** The parts of an entry that are merged one by one. */
export const SECTIONS = ["header", "text", "mood", "tags", "attachments"] as const;
export type Section = (typeof SECTIONS)[number];
export type Sections = { [S in Section]?: unknown };

/** An entry on the phone. */
export interface Entry extends Sections {
  id: string;
  /** The version that the sections and `deleted` stand on; 0 for what no server has answered for. */
  version: number;
  deleted: boolean;
}

/** What to do where two devices wrote the same section: make a draft of the second, or let the person decide. */
export type Clash = "keep_both" | "ask";

/** An answer that is no success. Nothing is ever deleted for one. */
export class Refused extends Error {
  constructor(readonly status: number, readonly code: string) {
    super(`${status} ${code}`);
  }
}

/** 410: the data are another history than that of the cursor or the batch. */
export class Resync extends Refused {}

interface Answer<T> {
  data?: T | undefined;
  error?: unknown;
  response: Response;
}

function body<T>({ data, error, response }: Answer<T>): T {
  if (data !== undefined) return data;
  const code = (error as { code?: string } | undefined)?.code ?? "";
  throw new (response.status === 410 ? Resync : Refused)(response.status, code);
}

const me = { path: { patient_id: "me" } };

export async function pull(api: Api, cursor: string | undefined): Promise<Schemas["ChangePage"]> {
  const query = cursor === undefined ? { limit: 200 } : { limit: 200, cursor };
  return body(await api.GET("/v1/patients/{patient_id}/changes", { params: { ...me, query } }));
}

export async function push(api: Api, epoch: string, mutations: Mutation[]): Promise<Result[]> {
  const answer = await api.POST("/v1/patients/{patient_id}/mutations", { params: me, body: { epoch, mutations } });
  return body(answer).results;
}

/** The entries of a page. Other kinds pass by; of what is unreadable a phone keeps what it has. */
export function entriesOf(items: Item[]): Entry[] {
  return items.flatMap((item) => entryOf(item) ?? []);
}

function entryOf(item: Item | undefined): Entry | undefined {
  if (item?.kind !== "entry" || item.unreadable === true) return undefined;
  const entry: Entry = { id: item.id, version: item.version, deleted: item.deleted === true };
  for (const section of SECTIONS) if (item[section] !== undefined) entry[section] = item[section];
  return entry;
}

/** A text that is the same for equal values, whatever the order of their members. */
export function canonical(value: unknown): string {
  const sorted = (_: string, part: unknown) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part;
  return JSON.stringify(value ?? null, sorted);
}

export function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

/** What the server adds to a header, and nobody sends. */
const DERIVED = ["clock_suspect", "copy_of"];

function sendable(section: Section, value: unknown): unknown {
  if (section !== "header" || value === undefined) return value ?? null;
  return Object.fromEntries(Object.entries(value as object).filter(([name]) => !DERIVED.includes(name)));
}

/** The sections in which two copies differ. */
export function changed(now: Sections, base: Sections): Section[] {
  return SECTIONS.filter((section) => !same(sendable(section, now[section]), sendable(section, base[section])));
}

/** The sections that an entry has. */
export function present(entry: Sections): Section[] {
  return SECTIONS.filter((section) => entry[section] !== undefined);
}

/** The mutation that brings `sections` of an entry to the server, on `entry.version`. */
export async function mutation(patient: string, entry: Entry, sections: Section[], clash: Clash): Promise<Mutation> {
  const content: Partial<Mutation> = entry.deleted
    ? { op: "delete" }
    : sections.length === 0
      ? { op: "undelete" }
      : Object.fromEntries(sections.map((section) => [section, sendable(section, entry[section])]));
  if (clash === "keep_both" && !entry.deleted) content.on_conflict = "keep_both";
  const whole = { patient_id: patient, kind: "entry", id: entry.id, base_version: entry.version, ...content };
  // The id follows from the content: a retry without memory has the same, and other words never come under it.
  return { mutation_id: await idOf(canonical(whole)), ...whole };
}

/** A UUID of version 8 from a hash. */
async function idOf(text: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).slice(0, 16);
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The outcome of a mutation on the phone. */
export interface Settled {
  /** The entry as the server has it now. */
  entry: Entry;
  /** Whether that is exactly what was sent. */
  exact: boolean;
  /** A draft that holds what was in conflict. */
  sibling?: Entry;
  /** What the server did not take. Keep it where no pull comes: the person decides. */
  held?: Sections;
  /** The server has no such entry: send all of it again, on version 0. */
  again?: boolean;
  /** Why nothing was stored, and nothing will be. */
  rejected?: string;
}

/** What becomes of an entry that was sent, and of the sections that were sent of it. */
export function settle(sent: Entry, sections: Section[], result: Result): Settled {
  switch (result.status === "replayed" ? result.was : result.status) {
    case "applied":
      return { entry: { ...sent, version: result.version ?? 0 }, exact: true };
    case "merged": {
      const sibling = entryOf(result.sibling);
      return { entry: entryOf(result.item) ?? sent, exact: false, ...(sibling && { sibling }) };
    }
    case "conflict": {
      const current = entryOf(result.current);
      if (current === undefined) return { entry: { ...sent, version: 0 }, exact: false, again: true };
      // Nothing was stored: the other sections of the mutation wait for the person, too.
      const clashing = changed(sent, current).filter((section) => sections.includes(section));
      const held = pick(sent, clashing);
      return { entry: current, exact: false, held };
    }
    default:
      return { entry: sent, exact: false, held: pick(sent, sections), rejected: result.problem?.code ?? result.status };
  }
}

function pick(from: Sections, sections: Section[]): Sections {
  return Object.fromEntries(sections.map((section) => [section, from[section] ?? null]));
}

/** An outcome with what was typed since the entry was sent on top of it. */
export interface Rebased {
  entry: Entry;
  /** The sections that still have to be sent. */
  sections: Section[];
  /** Whether it was deleted, or taken back, since. */
  turned: boolean;
  held: Sections;
}

export function rebase(now: Entry, sent: Entry, outcome: Settled): Rebased {
  const other = changed(now, outcome.entry);
  const typed = changed(now, sent).filter((section) => other.includes(section));
  // Where the server has something else than what was sent, the person decides; and a deletion is of what was seen.
  const clashing = outcome.exact ? [] : changed(outcome.entry, sent).filter((section) => typed.includes(section));
  const sections = typed.filter((section) => !clashing.includes(section));
  const turned = outcome.exact && now.deleted !== sent.deleted;
  const entry = { ...outcome.entry, deleted: turned ? now.deleted : outcome.entry.deleted };
  for (const section of sections) entry[section] = now[section];
  return { entry, sections, turned, held: { ...outcome.held, ...pick(now, clashing) } };
}

/** What a phone learns about its copies before it pulls from the start. */
export interface Compared {
  epoch: string;
  /** Copies that the server lacks, or that went another way: all of them is sent again. */
  lost: Set<string>;
  /** Of these the server has never heard. */
  unknown: Set<string>;
  /** Copies of what was deleted, at the version of the deletion: no pull of everything brings a tombstone. */
  gone: Map<string, number>;
  /** Where the pull of everything begins, so that it misses no deletion since. */
  start: string;
}

/** Asks before pulling: a pull would replace clean copies of which the server has lost the newer version. */
export async function compare(api: Api, epoch: string, copies: Entry[]): Promise<Compared> {
  const found: Compared = { epoch, lost: new Set(), unknown: new Set(), gone: new Map(), start: "" };
  for (let at = 0; at === 0 || at < copies.length; at += 5000) {
    const have = copies.slice(at, at + 5000).map(({ id, version, deleted }) => ({ kind: "entry", id, version, deleted }));
    const asked = await api.POST("/v1/patients/{patient_id}/integrity", { params: me, body: { epoch, have } });
    const report = body(asked);
    found.epoch = report.epoch;
    found.start ||= report.cursor;
    for (const { id, state, version, deleted } of report.differ) {
      if (state === "unknown") found.unknown.add(id);
      if (["ahead", "diverged", "unknown"].includes(state) || (state === "deleted" && !deleted)) found.lost.add(id);
      else if (deleted) found.gone.set(id, version);
    }
  }
  return found;
}

/** Calls `more` whenever there may be something to pull, until the stream ends or is aborted. A hint, not a promise. */
export async function watch(api: Api, more: () => void, signal: AbortSignal): Promise<void> {
  const opened = await api.GET("/v1/me/changes/stream", { parseAs: "stream", signal });
  const text = new TextDecoder();
  let rest = "";
  for await (const part of body(opened) as unknown as AsyncIterable<Uint8Array>) {
    rest += text.decode(part, { stream: true });
    const events = rest.split("\n\n");
    rest = events.pop() ?? "";
    if (events.some((event) => event.split("\n").includes("event: more"))) more();
  }
}
