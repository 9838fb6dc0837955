import type { IBufferCell, IBufferLine, Terminal } from "@xterm/headless";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { pasted, sent } from "./keyboard";
import type { Size } from "./session";

/**
 * What a terminal shows, as text in the page: it can be selected, found and read out. Only the lines that are
 * in sight are in the page, however long the terminal remembers.
 */
export function Screen(props: {
  terminal: Terminal;
  name: string;
  onType: (text: string) => void;
  onResize: (size: Size) => void;
}) {
  const { terminal, name, onType, onResize } = props;
  const box = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLTextAreaElement>(null);
  const atEnd = useRef(true);
  const [top, setTop] = useState(0);
  const [cell, setCell] = useState<Cell>();
  const [focused, setFocused] = useState(false);
  useChanges(terminal);

  useLayoutEffect(() => {
    const view = box.current;
    if (!view) return;
    const measure = () => {
      const found = measured(view);
      setCell((known) => (known && same(known, found) ? known : found));
      const size = fitting(view, found);
      if (size.rows === terminal.rows && size.columns === terminal.cols) return;
      terminal.resize(size.columns, size.rows);
      onResize(size);
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(view);
    return () => watch.disconnect();
  }, [terminal]);
  // Only who looks at the end is taken along with it.
  useLayoutEffect(() => {
    if (box.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  });
  useEffect(() => input.current?.focus({ preventScroll: true }), [terminal]);

  const buffer = terminal.buffer.active;
  const height = cell?.height ?? 1;
  const most = Math.max(0, buffer.length - terminal.rows);
  const first = atEnd.current ? most : Math.min(most, Math.floor(top / height));
  const cursor = buffer.baseY + buffer.cursorY;
  const lines = Array.from({ length: Math.min(terminal.rows + 1, buffer.length - first) }, (_, n) => {
    const number = first + n;
    const runs = runsOf(buffer.getLine(number), number === cursor ? buffer.cursorX : undefined);
    return <Line key={number} runs={runs} />;
  });

  const press = (event: KeyboardEvent) => {
    const key = event.key.toLowerCase();
    const selected = getSelection()?.isCollapsed === false;
    const copies = event.ctrlKey && (key === "v" || (key === "c" && selected));
    if (event.isComposing || copies) return;
    const text = sent(event, terminal.modes.applicationCursorKeysMode);
    if (text === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    type(text);
  };
  const type = (text: string) => {
    atEnd.current = true;
    onType(text);
  };
  /** What the keyboard has made of keys: letters of any script. */
  const take = (field: HTMLTextAreaElement) => {
    const text = field.value;
    field.value = "";
    if (text !== "") type(pasted(text, false));
  };
  return (
    <div
      class={focused ? "terminal focused" : "terminal"}
      ref={box}
      onScroll={({ currentTarget: at }) => {
        atEnd.current = at.scrollHeight - at.scrollTop - at.clientHeight < height;
        setTop(at.scrollTop);
      }}
      onClick={() => {
        if (getSelection()?.isCollapsed !== false) input.current?.focus({ preventScroll: true });
      }}
    >
      <div class="lines" style={{ height: `${buffer.length * height}px` }}>
        <div class="screen" style={{ transform: `translateY(${first * height}px)` }}>
          {lines}
        </div>
      </div>
      <textarea
        ref={input}
        aria-label={name}
        autocapitalize="off"
        autocomplete="off"
        autocorrect="off"
        spellcheck={false}
        rows={1}
        onKeyDown={press}
        onInput={(event) => {
          if (!event.isComposing) take(event.currentTarget);
        }}
        onCompositionEnd={(event) => take(event.currentTarget)}
        onPaste={(event) => {
          event.preventDefault();
          const text = event.clipboardData?.getData("text/plain") ?? "";
          type(pasted(text, terminal.modes.bracketedPasteMode));
        }}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
      />
    </div>
  );
}

/** Renders again when something has been written, once a frame at most. */
function useChanges(terminal: Terminal): void {
  const [, again] = useState(0);
  useEffect(() => {
    let frame: number | undefined;
    const watch = terminal.onWriteParsed(() => {
      frame ??= requestAnimationFrame(() => {
        frame = undefined;
        again((n) => n + 1);
      });
    });
    return () => {
      watch.dispose();
      if (frame !== undefined) cancelAnimationFrame(frame);
    };
  }, [terminal]);
}

/** The room that a letter takes. */
interface Cell {
  width: number;
  height: number;
}

function same(one: Cell, other: Cell): boolean {
  return one.width === other.width && one.height === other.height;
}

const SAMPLE = "0123456789";

function measured(box: Element): Cell {
  const probe = document.createElement("span");
  probe.className = "probe";
  probe.textContent = SAMPLE;
  box.append(probe);
  const { width, height } = probe.getBoundingClientRect();
  probe.remove();
  return { width: width / SAMPLE.length || 8, height: height || 17 };
}

/** What fits: never so little that programs despair, never more than the agent takes for sane. */
function fitting(box: Element, cell: Cell): Size {
  const style = getComputedStyle(box);
  const inner = (all: number, ...padding: string[]) =>
    padding.reduce((left, one) => left - (Number.parseFloat(one) || 0), all);
  const width = inner(box.clientWidth, style.paddingLeft, style.paddingRight);
  const height = inner(box.clientHeight, style.paddingTop, style.paddingBottom);
  const within = (least: number, value: number) => Math.min(500, Math.max(least, Math.floor(value)));
  return { rows: within(4, height / cell.height), columns: within(20, width / cell.width) };
}

/** Letters in a row that look the same. */
interface Run {
  text: string;
  look: string;
  class: string;
  color: string | undefined;
  background: string | undefined;
}

function Line({ runs }: { runs: Run[] }) {
  return (
    <div class="line">
      {runs.map((run, n) => (
        <span
          key={n}
          class={run.class || undefined}
          style={{ color: run.color, background: run.background }}
        >
          {run.text}
        </span>
      ))}
    </div>
  );
}

export function runsOf(line: IBufferLine | undefined, cursor: number | undefined): Run[] {
  const runs: Run[] = [];
  let cell: IBufferCell | undefined;
  for (let column = 0; column < (line?.length ?? 0); column += 1) {
    cell = line?.getCell(column, cell);
    // The right half of a wide letter is in the left one.
    if (!cell || cell.getWidth() === 0) continue;
    const run = runOf(cell, column === cursor);
    const last = runs.at(-1);
    if (last && last.look === run.look && cell.getWidth() === 1) last.text += run.text;
    else runs.push(run);
  }
  // Blank ends would be copied with the text.
  const last = runs.at(-1);
  if (last?.look === PLAIN) last.text = last.text.trimEnd();
  return runs;
}

const PLAIN = JSON.stringify(["", null, null]);

const STYLES = [
  ["bold", "isBold"],
  ["italic", "isItalic"],
  ["dim", "isDim"],
  ["underline", "isUnderline"],
  ["strike", "isStrikethrough"],
  ["invisible", "isInvisible"],
] as const;

function runOf(cell: IBufferCell, isCursor: boolean): Run {
  const classes: string[] = STYLES.filter(([, is]) => cell[is]()).map(([name]) => name);
  if (cell.getWidth() === 2) classes.push("broad");
  if (isCursor) classes.push("cursor");
  let color = colour(cell.isFgPalette(), cell.isFgRGB(), cell.getFgColor());
  let background = colour(cell.isBgPalette(), cell.isBgRGB(), cell.getBgColor());
  if (cell.isInverse()) {
    [color, background] = [background ?? "var(--ground)", color ?? "var(--ink)"];
  }
  const name = classes.join(" ");
  const look = JSON.stringify([name, color ?? null, background ?? null]);
  return { text: cell.getChars() || " ", look, class: name, color, background };
}

/** The sixteen first colours are the page's, so that they can be read on light and on dark. */
export function colour(palette: boolean, rgb: boolean, value: number): string | undefined {
  if (rgb) return `#${value.toString(16).padStart(6, "0")}`;
  if (!palette) return undefined;
  if (value < 16) return `var(--terminal-${value})`;
  if (value >= 232) {
    const grey = 8 + 10 * (value - 232);
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const part = (of: number) => (of === 0 ? 0 : 55 + 40 * of);
  const at = value - 16;
  return `rgb(${part(Math.floor(at / 36))} ${part(Math.floor(at / 6) % 6)} ${part(at % 6)})`;
}
