import { useEffect, useState } from "preact/hooks";

import { Records } from "./recordio";

/** The master's events: they tell when there is something new to read. */

export type Link = "connecting" | "live" | "polling";

export interface Happening {
  /** Grows by one with each. */
  number: number;
  at: number;
  what: string;
  /** Where more is to be seen. */
  href: string | undefined;
  state: string | undefined;
}

/** As many happenings are remembered as anybody looks through. */
const REMEMBERED = 50;

/** Between two attempts to follow the events, and how often a silent stream is given up. */
const AGAIN = 5_000;
const SILENCE = 45_000;

type Listener = () => void;

/** One stream for the whole page. */
class Live {
  link: Link = "connecting";
  happenings: Happening[] = [];
  private readonly listeners = new Set<Listener>();
  private end: AbortController | undefined;
  private count = 0;

  start(): void {
    document.addEventListener("visibilitychange", this.look);
    addEventListener("pagehide", this.leave);
    addEventListener("pageshow", this.look);
    this.look();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.look);
    removeEventListener("pagehide", this.leave);
    removeEventListener("pageshow", this.look);
    this.leave();
    this.happenings = [];
  }

  /**
   * Browsers have six connections to a host, for all of its pages together. A page that nobody sees
   * leaves them to others: it reads everything again when it is seen.
   */
  private readonly look = (): void => {
    if (document.hidden) return this.leave();
    if (this.end) return;
    this.end = new AbortController();
    void this.follow(this.end.signal);
  };

  private readonly leave = (): void => {
    this.end?.abort();
    this.end = undefined;
    this.link = "connecting";
  };

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }

  private async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.once(signal);
      } catch {
        // The pages poll meanwhile, and say so.
      }
      if (signal.aborted) return;
      this.link = "polling";
      this.tell();
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }

  private async once(signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    const answer = await fetch("/api/v1?state=false", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: '{"type":"SUBSCRIBE"}',
      signal: AbortSignal.any([signal, silence.signal]),
      redirect: "manual",
    });
    if (!answer.ok || !answer.body) return;
    this.link = "live";
    this.tell();
    const reader = answer.body.getReader();
    const records = new Records();
    for (;;) {
      const timer = setTimeout(() => silence.abort(), SILENCE);
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      let news = false;
      for (const record of records.push(value)) {
        news = this.take(JSON.parse(record) as Event) || news;
      }
      if (news) this.tell();
    }
  }

  /** Remembers an event; says whether it is news. */
  private take(event: Event): boolean {
    if (event.type === "HEARTBEAT" || event.type === "SUBSCRIBED") return false;
    const told = tell(event);
    if (told) {
      this.count += 1;
      const happening = { ...told, number: this.count, at: Date.now() / 1000 };
      this.happenings = [happening, ...this.happenings].slice(0, REMEMBERED);
    }
    return true;
  }
}

export const live = new Live();

/** Renders again with each of the master's events. */
export function useLive(): Live {
  const [, again] = useState(0);
  useEffect(() => {
    let due = false;
    return live.listen(() => {
      // A burst of events is one change for the eye.
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        again((n) => n + 1);
      });
    });
  }, []);
  return live;
}

interface Value {
  value: string;
}

/** What is read of an event. */
interface Event {
  type: string;
  task_added?: { task?: { task_id: Value; framework_id: Value; agent_id: Value; state?: string } };
  task_updated?: {
    framework_id?: Value;
    status?: { task_id?: Value; agent_id?: Value; message?: string };
    state?: string;
  };
  agent_added?: { agent?: { agent_info?: { id?: Value; hostname?: string } } };
  agent_removed?: { agent_id?: Value };
  framework_added?: { framework?: { framework_info?: { id?: Value; name?: string } } };
  framework_updated?: { framework?: { framework_info?: { id?: Value; name?: string } } };
  framework_removed?: { framework_info?: { id?: Value; name?: string } };
}

type Told = Pick<Happening, "what" | "href" | "state">;

function path(...parts: (string | undefined)[]): string {
  return `#/${parts.map((part) => encodeURIComponent(part ?? "")).join("/")}`;
}

function tell(event: Event): Told | undefined {
  const added = event.task_added?.task;
  if (added) {
    const href = path("tasks", added.framework_id.value, added.agent_id.value, added.task_id.value);
    return { what: `Task ${added.task_id.value} launched`, href, state: undefined };
  }
  const updated = event.task_updated;
  if (updated) {
    const { task_id: task, agent_id: agent } = updated.status ?? {};
    const href = path("tasks", updated.framework_id?.value, agent?.value, task?.value);
    return { what: `Task ${task?.value}`, href, state: updated.state };
  }
  const agent = event.agent_added?.agent?.agent_info;
  if (agent) {
    const href = path("agents", agent.id?.value);
    return { what: `Agent ${agent.hostname} registered`, href, state: undefined };
  }
  if (event.agent_removed) {
    const what = `Agent ${event.agent_removed.agent_id?.value} removed`;
    return { what, href: undefined, state: undefined };
  }
  const framework = event.framework_added?.framework?.framework_info;
  if (framework) {
    const href = path("frameworks", framework.id?.value);
    return { what: `Framework ${framework.name} subscribed`, href, state: undefined };
  }
  const gone = event.framework_removed?.framework_info;
  if (gone) {
    const href = path("frameworks", gone.id?.value);
    return { what: `Framework ${gone.name} ended`, href, state: undefined };
  }
  return undefined;
}
