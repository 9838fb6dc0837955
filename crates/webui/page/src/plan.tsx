import { useState } from "preact/hooks";

import { Action } from "./action";
import { type AgentSummary, type MachineId, type Unavailability, replan } from "./api";
import { Refusal } from "./files";
import { count } from "./format";
import { keyOf, machineOf, nameOf, without } from "./machines";
import type { Cluster } from "./master";

/** Machines that are shown to choose from at a time. */
const SHOWN = 100;

/** More machines than this are worth a search field. */
const SEARCHED = 8;

/** Puts machines on the schedule; those that are there already get the new time. */
export function Plan({ cluster }: { cluster: Cluster }) {
  const act = async (form: FormData) => {
    const machines = chosen(form);
    const unavailability = timeOf(form);
    await replan((windows) => [
      ...without(windows, machines),
      { machine_ids: machines, unavailability },
    ]);
  };
  return (
    <Action name="Schedule" title="Schedule maintenance" confirm="Schedule" act={act}>
      <p>Frameworks are told that the machines will be away, and are asked to leave them in time.</p>
      <Choice agents={cluster.summary.slaves} />
      <label>
        From (time zone of this browser: {Intl.DateTimeFormat().resolvedOptions().timeZone})
        <input name="start" type="datetime-local" defaultValue={nextMinute()} required />
      </label>
      <label>
        For how many hours
        <input name="hours" type="number" min="0" step="any" placeholder="no end" />
      </label>
    </Action>
  );
}

function Choice({ agents }: { agents: AgentSummary[] }) {
  const [search, setSearch] = useState("");
  const [taken, setTaken] = useState<ReadonlyMap<string, MachineId>>(new Map());
  const known = new Map(agents.map(machineOf).map((id) => [keyOf(id), id]));
  const wanted = search.trim().toLowerCase();
  const found = [...known].filter(([key]) => key.includes(wanted));
  const toggle = (key: string, id: MachineId) => {
    const next = new Map(taken);
    if (!next.delete(key)) next.set(key, id);
    setTaken(next);
  };
  return (
    <fieldset>
      <legend>Machines{taken.size > 0 && `: ${count(taken.size)} chosen`}</legend>
      {known.size > SEARCHED && (
        <input
          type="search"
          placeholder="Search"
          aria-label="Search in machines"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      )}
      {/* Those that are chosen are sent, whether or not they are in sight. */}
      {[...taken].map(([key, id]) => (
        <input key={key} type="hidden" name="machine" value={JSON.stringify(id)} />
      ))}
      <div class="chosen">
        {found.slice(0, SHOWN).map(([key, id]) => (
          <label key={key} class="check">
            <input type="checkbox" checked={taken.has(key)} onChange={() => toggle(key, id)} /> {nameOf(id)}
          </label>
        ))}
      </div>
      {found.length > SHOWN && (
        <p class="none">{count(found.length - SHOWN)} more: search for them.</p>
      )}
      <details open={known.size === 0}>
        <summary>A machine without an agent</summary>
        <label>
          Hostname
          <input name="hostname" />
        </label>
        <label>
          Address
          <input name="ip" placeholder="as its agents will have it" />
        </label>
      </details>
    </fieldset>
  );
}

function textOf(form: FormData, name: string): string {
  return String(form.get(name) ?? "").trim();
}

function chosen(form: FormData): MachineId[] {
  const machines = form.getAll("machine").map((text) => JSON.parse(String(text)) as MachineId);
  const hostname = textOf(form, "hostname");
  const ip = textOf(form, "ip");
  if (hostname || ip) machines.push({ ...(hostname && { hostname }), ...(ip && { ip }) });
  if (machines.length === 0) throw new Refusal("Choose a machine, or name one by its hostname and address.");
  return machines;
}

function timeOf(form: FormData): Unavailability {
  const start = { nanoseconds: Date.parse(textOf(form, "start")) * 1e6 };
  const hours = Number(textOf(form, "hours"));
  return hours > 0 ? { start, duration: { nanoseconds: Math.round(hours * 36e11) } } : { start };
}

/** The beginning of the next minute, in the form of a field of local time. */
function nextMinute(): string {
  const now = new Date();
  const local = Math.ceil(now.getTime() / 60_000) * 60_000 - now.getTimezoneOffset() * 60_000;
  return new Date(local).toISOString().slice(0, 16);
}
