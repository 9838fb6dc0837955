import type { ComponentChildren } from "preact";

import type { Scalar } from "./api";
import { NoAnswer } from "./files";
import { ago, count, date, megabytes, mood, stateName, when } from "./format";
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

/** How long ago a moment was, and which under the mouse; `ahead` of one that may be still to come. */
export function Time({ at, ahead }: { at: number | undefined; ahead?: true }) {
  if (!at) return <>–</>;
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={date(at)}>
      {(ahead ? when : ago)(at, Date.now() / 1000)}
    </time>
  );
}

export function Id({ value }: { value: string }) {
  return <code title={value}>{value}</code>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
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

export const KINDS = [
  { kind: "cpus", name: "CPUs", show: count },
  { kind: "mem", name: "Memory", show: megabytes },
  { kind: "disk", name: "Disk", show: megabytes },
  { kind: "gpus", name: "GPUs", show: count },
] as const;

/** An amount of anything, as people say it. */
export function amount(kind: string, value: number): string {
  return (KINDS.find((one) => one.kind === kind)?.show ?? count)(value);
}

/** Amounts in a line, such as `cpus 2 · mem 1 GB`. */
export function amounts(all: Record<string, unknown> | undefined): string {
  const parts = Object.entries(all ?? {}).map(([kind, value]) =>
    typeof value === "number" ? value > 0 && `${kind} ${amount(kind, value)}` : `${kind} ${value}`,
  );
  return parts.filter((part) => part !== false).join(" · ") || "–";
}

/** A resource of any kind in words, such as `cpus 2` or `ports 31000–32000`. */
export function saying(resource: Scalar): string {
  const { name, scalar, ranges, set } = resource;
  if (scalar) return `${name} ${amount(name, scalar.value)}`;
  if (ranges) {
    return `${name} ${(ranges.range ?? []).map(({ begin, end }) => `${begin}–${end}`).join(", ")}`;
  }
  return `${name} ${(set?.item ?? []).join(", ")}`;
}

export function Meters(props: {
  used: Required<Resources>;
  all: Required<Resources>;
  offered?: Required<Resources>;
}) {
  const { used, all, offered } = props;
  return (
    <ul class="meters" aria-label="Resources in use">
      {KINDS.filter(({ kind }) => all[kind] > 0).map(({ kind, name, show }) => (
        <li key={kind}>
          <span>{name}</span>
          <Bar used={used[kind]} offered={offered?.[kind] ?? 0} all={all[kind]} name={name} />
          <span class="numeric">
            {show(used[kind])} of {show(all[kind])}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** How much of something is taken and offered. */
export function Bar(props: { used: number; offered: number; all: number; name: string }) {
  const { used, offered, all, name } = props;
  const part = (value: number) => `${all > 0 ? Math.min(100, (100 * value) / all) : 0}%`;
  return (
    <span class="bar" role="img" aria-label={`${name}: ${part(used)} in use`}>
      <i class="used" style={{ width: part(used) }} />
      <i class="offered" style={{ width: part(Math.min(offered, all - used)) }} />
    </span>
  );
}

/** What is wrong with a view. That nobody answers is said for all of them: see `Behind`. */
export function Trouble({ error }: { error: Error | undefined }) {
  return (
    <p class="trouble" role="status">
      {error instanceof NoAnswer ? "" : error?.message}
    </p>
  );
}

/** The way back, and to what else is near. */
export function Crumbs(props: { to: string; name: string; children?: ComponentChildren }) {
  return (
    <p class="crumbs">
      <a href={props.to}>{props.name}</a>
      {props.children && <> · {props.children}</>}
    </p>
  );
}
