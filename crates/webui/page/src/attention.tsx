import type { AgentSummary, Counts, FrameworkSummary } from "./api";
import { counted } from "./format";
import type { Cluster } from "./master";
import { agentName } from "./names";
import { link, tasksLink } from "./route";

/** What somebody who is woken up looks for first. */

export interface Concern {
  mood: "bad" | "busy";
  what: string;
  href: string;
}

/** What is not as it should be, the worst first. */
export function concerns({ summary, metrics }: Pick<Cluster, "summary" | "metrics">): Concern[] {
  const away = summary.slaves.filter((one) => one.active === false && !one.deactivated);
  const unreachable = metrics["master/slaves_unreachable"] ?? 0;
  const lost = metrics["master/tasks_unreachable"] ?? 0;
  const recovered = metrics["master/slaves_recovered"] ?? 0;
  const alone = summary.frameworks.filter((one) => one.connected === false);
  const draining = summary.slaves.filter((one) => one.drain_info?.state === "DRAINING");
  const found: (Concern | false)[] = [
    unreachable > 0 && {
      mood: "bad",
      what: `${counted(unreachable, "agent")} unreachable, with ${counted(lost, "task")} that may run on`,
      href: tasksLink("", ["TASK_UNREACHABLE"]),
    },
    recovered > 0 && {
      mood: "bad",
      what: `${counted(recovered, "agent")} not back since the last master`,
      href: link(["agents"]),
    },
    away.length > 0 && {
      mood: "bad",
      what: `${counted(away.length, "agent")} disconnected: ${names(away, agentName)}`,
      href: where("agents", away),
    },
    alone.length > 0 && {
      mood: "bad",
      what: `${counted(alone.length, "framework")} disconnected: ${names(alone, ({ name }) => name)}`,
      href: where("frameworks", alone),
    },
    draining.length > 0 && {
      mood: "busy",
      what: `${counted(draining.length, "agent")} draining: ${names(draining, agentName)}`,
      href: where("agents", draining),
    },
  ];
  return found.filter((one) => one !== false);
}

/** As many names as are said before the rest is counted. */
const NAMED = 3;

function names<T>(all: T[], name: (one: T) => string): string {
  const rest = all.length - NAMED;
  return all.slice(0, NAMED).map(name).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

function where(view: string, all: (AgentSummary | (FrameworkSummary & Counts))[]): string {
  const [first] = all;
  return first && all.length === 1 ? link([view, first.id]) : link([view]);
}

export function Attention({ cluster }: { cluster: Cluster }) {
  const all = concerns(cluster);
  if (all.length === 0) return null;
  return (
    <section aria-label="Needs attention">
      <div class="above">
        <h2>Needs attention</h2>
      </div>
      <ul class="concerns">
        {all.map(({ mood, what, href }) => (
          <li key={what}>
            <a class={`state ${mood}`} href={href}>
              {what}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
