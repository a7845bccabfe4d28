// The way from registration to the first shared reflection and back, with a generated client against a sandbox.
// `.ci/client` generates it, checks the types of this file, and runs it with the server's address.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { paths } from "./target/afterglow.d.ts";

const server = process.argv[2] ?? "http://127.0.0.1:8080";
const open = createClient<paths>({ baseUrl: server });

type Person = ReturnType<typeof createClient<paths>>;

function person(token: string): Person {
  return createClient<paths>({ baseUrl: server, headers: { authorization: `Bearer ${token}` } });
}

/** The body of a success; fails with the problem otherwise. */
function done<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(answer.data !== undefined, `${answer.response.url}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

async function logIn(email: string): Promise<Person> {
  const answer = await open.POST("/v1/auth/login", { body: { email, passphrase: "lanterns over the lake" } });
  // The form of the tokens is that of the document.
  const body = done(answer) as { access_token?: string; tokens?: { access_token: string } };
  return person(body.access_token ?? body.tokens?.access_token ?? "");
}

async function move(now: string): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${server}/sandbox/clock`, { method: "POST", headers, body: JSON.stringify({ now }) });
  assert.equal(answer.status, 200);
}

const me = { patient_id: "me" };
let tess = await logIn("tess@lakeside.example");
const invitation = done(await tess.POST("/v1/invitations", {
  params: { header: { "Idempotency-Key": randomUUID() } },
  body: { kind: "patient" },
}));
const registered = done(await open.POST("/v1/auth/register", {
  body: {
    code: invitation.code ?? assert.fail("a new invitation has its code"), name: "Ann Walker", email: "ann@example.org", passphrase: "lanterns over the lake", adult: true,
    time_zone: "Europe/Berlin", country: "DE", locale: "en",
  },
}));
// Where registration is open the answer is 202, and there are no tokens yet.
if (!("tokens" in registered)) assert.fail("who registers with an invitation is logged in");
const patient = registered.account.patient_id ?? assert.fail("a patient has a patient_id");
let ann = person(registered.tokens.access_token);
const link = done(await ann.GET("/v1/care-links", {})).items[0] ?? assert.fail("registering makes a link");
done(await tess.POST("/v1/care-links/{link_id}/confirm", { params: { path: { link_id: link.id } } }));

const infusion = randomUUID();
let noor = await logIn("noor@lakeside.example");
const planned = await noor.PUT("/v1/patients/{patient_id}/infusions/{infusion_id}", {
  params: { path: { patient_id: patient, infusion_id: infusion } },
  body: { status: "planned", route: "iv_infusion", planned_start: "2026-03-10T10:00:00+01:00", planned_minutes: 40 },
});
done(planned);
const etag = planned.response.headers.get("etag") ?? assert.fail("an infusion has an ETag");
await move("2026-03-10T10:45:00+01:00");
noor = await logIn("noor@lakeside.example");
done(await noor.POST("/v1/patients/{patient_id}/infusions/{infusion_id}/end", {
  params: { path: { patient_id: patient, infusion_id: infusion }, header: { "If-Match": etag } },
  body: { ended_at: "2026-03-10T10:40:00+01:00", dose_mg: 35 },
}));

await move("2026-03-11T14:00:00+01:00");
ann = await logIn("ann@example.org");
tess = await logIn("tess@lakeside.example");
const phase = done(await ann.GET("/v1/patients/{patient_id}/window", { params: { path: me } }));
assert.equal((phase as { phase: string }).phase, "peak");
const prompts = done(await ann.GET("/v1/patients/{patient_id}/prompts", { params: { path: me, query: { limit: 200 } } }));
assert.ok(prompts.items.length > 0, "the days that follow are planned");

const entry = randomUUID();
const path = { patient_id: "me", entry_id: entry };
const written = await ann.PUT("/v1/patients/{patient_id}/entries/{entry_id}", {
  params: { path },
  body: {
    kind: "reflection", occurred_at: "2026-03-11T13:40:00+01:00", mood: { valence: 7 },
    text: { title: "The lake", body: "It was quiet, and I could stay." },
  },
});
assert.equal(written.response.status, 201);
const before = written.response.headers.get("etag") ?? assert.fail("an entry has an ETag");
// What is not set is left out: adding a tag takes nothing away.
const tagged = done(await ann.PATCH("/v1/patients/{patient_id}/entries/{entry_id}", {
  params: { path, header: { "If-Match": before } },
  body: { tags: ["lake"] },
})) as { text?: { body?: string | null } | null };
assert.equal(tagged.text?.body, "It was quiet, and I could stay.");
const late = await ann.PATCH("/v1/patients/{patient_id}/entries/{entry_id}", {
  params: { path, header: { "If-Match": before } },
  body: { tags: ["sea"] },
});
assert.equal(late.error?.code, "stale");

const shared = { params: { path: { patient_id: patient, entry_id: entry } } };
assert.equal((await tess.GET("/v1/patients/{patient_id}/entries/{entry_id}", shared)).response.status, 404);
const team = done(await ann.GET("/v1/patients/{patient_id}/care-team", { params: { path: me } }));
const therapist = team.items[0] ?? assert.fail("a care team of one");
const grant = { path: { patient_id: "me", grant_id: randomUUID() } };
done(await ann.PUT("/v1/patients/{patient_id}/grants/{grant_id}", {
  params: grant,
  body: {
    target: { type: "entry", id: entry }, sections: ["text"], visible_at_once: true,
    reader: { type: "therapist", account_id: therapist.therapist_id },
  },
}));
const read = done(await tess.GET("/v1/patients/{patient_id}/entries/{entry_id}", shared)) as { mood?: unknown };
assert.ok(JSON.stringify(read).includes("It was quiet"));
assert.equal(read.mood, undefined, "the mood is not shared");
const ended = await ann.DELETE("/v1/patients/{patient_id}/grants/{grant_id}", { params: grant });
assert.equal(ended.response.status, 204);
const gone = await tess.GET("/v1/patients/{patient_id}/entries/{entry_id}", shared);
assert.equal(gone.error?.code, "not_found");
console.log("a generated client went from registration to a shared reflection, and took it back");
