import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { ago, count, date, megabytes, mood, stateName } from "./format";
import { changed } from "./poll";
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

export function Trouble({ error }: { error: Error | undefined }) {
  return (
    <p class="trouble" role="status">
      {error?.message}
    </p>
  );
}

export function Crumbs({ to, name }: { to: string; name: string }) {
  return (
    <p class="crumbs">
      <a href={to}>{name}</a>
    </p>
  );
}

/** A button that asks before it acts, and says what went wrong. */
export function Action(props: {
  name: string;
  title: string;
  children: ComponentChildren;
  confirm: string;
  act: (form: FormData) => Promise<void>;
  danger?: true;
}) {
  const { name, title, children, confirm, act, danger } = props;
  const [open, setOpen] = useState(false);
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);
  const close = () => {
    setOpen(false);
    setError(undefined);
  };
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await act(new FormData(event.currentTarget as HTMLFormElement));
      close();
      changed();
    } catch (trouble) {
      setError(trouble as Error);
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class={danger && "danger"} onClick={() => setOpen(true)}>
        {name}
      </button>
      {open && (
        <dialog ref={dialog} aria-label={title} onClose={close}>
          <form onSubmit={submit}>
            <h2>{title}</h2>
            {children}
            <Trouble error={error} />
            <div class="choices">
              <button type="button" onClick={close}>
                Cancel
              </button>
              <button type="submit" class={danger ? "danger strong" : "strong"} disabled={busy}>
                {confirm}
              </button>
            </div>
          </form>
        </dialog>
      )}
    </>
  );
}
