/** Numbers and times for people. */

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

export function count(value: number): string {
  return number.format(value);
}

/** A number of things, such as `1 task` or `2 tasks`. */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

export function bytes(value: number): string {
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${number.format(value)} ${UNITS[unit]}`;
}

export function megabytes(value: number): string {
  return bytes(value * 1024 * 1024);
}

/** How long ago a moment was, in the largest unit that it fills. */
export function ago(seconds: number, now: number): string {
  const passed = Math.max(0, Math.floor(now - seconds));
  if (passed < 5) return "just now";
  if (passed < 60) return `${passed} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
  return `${Math.floor(passed / 86_400)} d ago`;
}

/** How far away the beginning of something is, that may be still to come. */
export function when(seconds: number, now: number): string {
  const left = Math.ceil(seconds - now);
  return left > 0 ? `in ${duration(left)}` : `began ${ago(seconds, now)}`;
}

export function date(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString();
}

/** `TASK_RUNNING` as people say it. */
export function stateName(state: string): string {
  return state.replace(/^TASK_/, "").replaceAll("_", " ").toLowerCase();
}

/** `REASON_COMMAND_EXECUTOR_FAILED` as people say it. */
export function reasonName(reason: string): string {
  return reason.replace(/^REASON_/, "").replaceAll("_", " ").toLowerCase();
}

export type Mood = "good" | "bad" | "busy" | "calm";

const MOODS: Record<string, Mood> = {
  TASK_RUNNING: "good",
  TASK_STAGING: "busy",
  TASK_STARTING: "busy",
  TASK_KILLING: "busy",
  TASK_FINISHED: "calm",
  TASK_KILLED: "calm",
};

/** Whether a state asks for attention; what is not known does. */
export function mood(state: string): Mood {
  return MOODS[state] ?? "bad";
}

/** How long something has lasted, in its two largest units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
}
