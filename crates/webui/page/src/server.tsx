import { Action } from "./action";
import { ask, send } from "./api";
import { json } from "./files";
import { type Column, Whole } from "./list";
import type { Cluster } from "./master";
import { Log, keepsLog } from "./output";
import { Fact, Time, Trouble } from "./parts";
import { usePolled } from "./poll";

type Flag = [string, string];

interface Shown {
  flags: Flag[];
  level: number;
}

/** The master's own process: how it was started and how much it logs. */
export function ServerView({ cluster }: { cluster: Cluster }) {
  const { value, error } = usePolled<Shown>("flags", async (_, signal) => {
    const [{ flags }, level] = await Promise.all([
      json<{ flags: Record<string, string> }>("/flags", signal),
      ask<{ level?: number }>("GET_LOGGING_LEVEL", signal),
    ]);
    return { flags: Object.entries(flags), level: level.level ?? 0 };
  });
  const master = cluster.facts?.master_info;
  const setLevel = (form: FormData) => {
    const level = encodeURIComponent(String(form.get("level")));
    const minutes = encodeURIComponent(String(form.get("minutes")));
    return send(`/logging/toggle?level=${level}&duration=${minutes}mins`, "", "text/plain");
  };
  return (
    <>
      <div class="title">
        <h1>Server</h1>
        <div class="actions">
          <Action name="Log more" title="Log more for a time" confirm="Set" act={setLevel}>
            <p>The master goes back to what its flags say by itself.</p>
            <label>
              Level
              <select name="level">
                <option value="1">1: details</option>
                <option value="2">2: everything</option>
                <option value="0">0: as the flags say</option>
              </select>
            </label>
            <label>
              For how many minutes
              <input name="minutes" type="number" min="1" value="15" required />
            </label>
          </Action>
        </div>
      </div>
      <Trouble error={error} />
      <dl class="facts">
        <Fact name="Process">{master?.pid ?? "–"}</Fact>
        <Fact name="Id">{master?.id ?? "–"}</Fact>
        <Fact name="Started">
          <Time at={cluster.facts?.start_time} />
        </Fact>
        <Fact name="Logging level">{value?.level ?? "–"}</Fact>
        <Fact name="For programs">
          <a href="/openapi.json">all endpoints</a>, <a href="/metrics">metrics</a>
        </Fact>
      </dl>
      {value && <Log path="/master/log" kept={keepsLog(Object.fromEntries(value.flags))} />}
      <Whole
        caption="Flags"
        columns={COLUMNS}
        rows={value?.flags}
        id={([name]) => name}
        text={([name, value]) => `${name} ${value}`}
        none="No flag is told."
      />
    </>
  );
}

const COLUMNS: Column<Flag>[] = [
  { name: "Flag", width: "minmax(0, 1fr)", cell: ([name]) => <code>--{name}</code> },
  { name: "Value", width: "minmax(0, 1fr)", cell: ([, value]) => <code>{value}</code> },
];
