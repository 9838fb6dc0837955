import { Chart, type Sample } from "./chart";
import { json } from "./files";
import { bytes, count } from "./format";
import { usePolled } from "./poll";

/** What a container uses, since the page is open. */

/** As many samples as the charts have: ten minutes, once a second. */
const SAMPLES = 600;

export interface Statistics {
  timestamp: number;
  cpus_user_time_secs?: number;
  cpus_system_time_secs?: number;
  cpus_limit?: number;
  cpus_soft_limit?: number;
  mem_rss_bytes?: number;
  mem_limit_bytes?: number;
  mem_soft_limit_bytes?: number;
  processes?: number;
  threads?: number;
}

interface Container {
  container_id: string;
  executor_id: string;
  framework_id: string;
  statistics?: Statistics;
}

interface Used {
  latest: Statistics | undefined;
  cpus: Sample[];
  memory: Sample[];
}

/** Adds a measurement: the time of processors between two is what was used of them. */
export function measured(last: Used | undefined, now: Statistics | undefined): Used {
  const { latest, cpus, memory } = last ?? { latest: undefined, cpus: [], memory: [] };
  if (!now) return { latest: undefined, cpus, memory };
  if (now.timestamp === latest?.timestamp) return { latest, cpus, memory };
  const at = now.timestamp;
  const allowed = now.mem_limit_bytes ?? now.mem_soft_limit_bytes ?? 0;
  const held = { at, used: now.mem_rss_bytes ?? 0, offered: 0, all: allowed };
  const passed = latest ? at - latest.timestamp : 0;
  const part = {
    at,
    used: latest ? Math.max(0, (spent(now) - spent(latest)) / passed) : 0,
    offered: 0,
    all: now.cpus_limit ?? now.cpus_soft_limit ?? 0,
  };
  return {
    latest: now,
    cpus: passed > 0 ? [...cpus, part].slice(-SAMPLES) : cpus,
    memory: [...memory, held].slice(-SAMPLES),
  };
}

function spent(statistics: Statistics): number {
  return (statistics.cpus_user_time_secs ?? 0) + (statistics.cpus_system_time_secs ?? 0);
}

export function Usage(props: { framework: string; executor: string; container: string | undefined }) {
  const { framework, executor, container } = props;
  const { value } = usePolled<Used>(
    JSON.stringify(["usage", framework, executor, container]),
    async (last, signal) => {
      const all = await json<Container[]>("/containers", signal);
      const found = all.find((one) =>
        container
          ? one.container_id === container
          : one.executor_id === executor && one.framework_id === framework,
      );
      return measured(last, found?.statistics);
    },
  );
  // What has ended uses nothing.
  if (!value?.latest) return null;
  const { latest, cpus, memory } = value;
  const [cpu, held] = [cpus.at(-1), memory.at(-1)];
  return (
    <section aria-label="Usage">
      <div class="cards">
        <article class="card">
          <h2>CPUs</h2>
          <p class="big">
            {cpu ? count(cpu.used) : "–"} <small>of {count(cpu?.all ?? 0)}</small>
          </p>
          <Chart name="CPUs" samples={cpus} />
        </article>
        <article class="card">
          <h2>Memory</h2>
          <p class="big">
            {bytes(held?.used ?? 0)} <small>of {bytes(held?.all ?? 0)}</small>
          </p>
          <Chart name="Memory" samples={memory} />
        </article>
        <article class="card">
          <h2>Processes</h2>
          <p class="big">
            {count(latest.processes ?? 0)} <small>with {count(latest.threads ?? 0)} threads</small>
          </p>
        </article>
      </div>
    </section>
  );
}
