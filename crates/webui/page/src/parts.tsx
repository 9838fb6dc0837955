import { ago, count, date, megabytes, mood, stateName } from "./format";
import type { Resources } from "./state";

/** Small parts that several views have in common. */

export function State({ name, healthy }: { name: string; healthy?: boolean | undefined }) {
  return (
    <span class={`state ${mood(name)}`}>
      {stateName(name)}
      {healthy === false && " (unhealthy)"}
    </span>
  );
}

export function Time({ at }: { at: number | undefined }) {
  if (!at) return <>–</>;
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={date(at)}>
      {ago(at, Date.now() / 1000)}
    </time>
  );
}

export function Id({ value }: { value: string }) {
  return <code title={value}>{value}</code>;
}

/** A link away from the cluster, if it is one to a page: an address may come from anybody. */
export function Outward({ to, children }: { to: string | undefined; children: string }) {
  if (!to || !/^https?:\/\//i.test(to)) return <>{children}</>;
  return (
    <a href={to} rel="noreferrer noopener">
      {children}
    </a>
  );
}

const KINDS = [
  { kind: "cpus", name: "CPUs", show: count },
  { kind: "mem", name: "Memory", show: megabytes },
  { kind: "disk", name: "Disk", show: megabytes },
  { kind: "gpus", name: "GPUs", show: count },
] as const;

export function Meters({ used, all }: { used: Required<Resources>; all: Required<Resources> }) {
  return (
    <ul class="meters" aria-label="Resources in use">
      {KINDS.filter(({ kind }) => all[kind] > 0).map(({ kind, name, show }) => (
        <li key={kind}>
          <span>{name}</span>
          <meter
            aria-label={`${name} in use`}
            min={0}
            max={all[kind]}
            value={Math.min(used[kind], all[kind])}
          />
          <span>
            {show(used[kind])} of {show(all[kind])}
          </span>
        </li>
      ))}
    </ul>
  );
}

export function Trouble({ error }: { error: Error | undefined }) {
  return (
    <p class="trouble" role="status">
      {error?.message}
    </p>
  );
}
