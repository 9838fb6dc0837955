import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { count } from "./format";

/** A table of any length, of which only what can be seen is in the page. */

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** Its share of the width, as a track of a grid. */
  width: string;
  numeric?: true;
  /** Left out where there is little room. */
  minor?: true;
  /** By what rows that are all at hand can be put in order: clicks on the column's head do. */
  sort?: (row: T) => string | number | undefined;
}

/** The column that rows are in the order of. */
interface Order {
  by: string;
  descending: boolean;
}

/** How high a row is, in pixels; the style sheet has the same. */
export const ROW = 40;

/** Rows beyond those in sight, so that scrolling shows no gap. */
const AHEAD = 8;

const NARROW = "(max-width: 720px)";

export function List<T>(props: {
  caption: string;
  columns: Column<T>[];
  total: number;
  /** Whether that is known. */
  isRead?: boolean;
  row: (index: number) => T | undefined;
  id: (row: T) => string;
  none: ComponentChildren;
  /** What stands beside the caption. */
  aside?: ComponentChildren;
  onRange?: (first: number, last: number) => void;
  order?: Order | undefined;
  onOrder?: (column: string) => void;
}) {
  const { caption, total, isRead = true, row, id, none, aside, onRange, order, onOrder } = props;
  const box = useRef<HTMLDivElement>(null);
  const keepPlace = usePlace(caption, box, total > 0);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const narrow = useNarrow();
  const columns = props.columns.filter((column) => !narrow || !column.minor);
  const tracks = { gridTemplateColumns: columns.map((column) => column.width).join(" ") };
  const first = Math.max(0, Math.min(Math.floor(top / ROW) - AHEAD, total - 1));
  const last = Math.min(total, Math.ceil((top + height) / ROW) + AHEAD);

  useEffect(() => onRange?.(first, last), [first, last]);
  useEffect(() => {
    const measure = () => box.current && setHeight(box.current.clientHeight || 600);
    measure();
    addEventListener("resize", measure);
    return () => removeEventListener("resize", measure);
  }, [total === 0]);

  const indices = Array.from({ length: Math.max(0, last - first) }, (_, n) => first + n);
  return (
    <section>
      <div class="above">
        <h2>
          {caption} {isRead && <small>{count(total)}</small>}
        </h2>
        {aside}
      </div>
      {total === 0 ? (
        <div class="empty">{none}</div>
      ) : (
        <div
          class="list"
          role="table"
          aria-label={caption}
          aria-rowcount={total + 1}
          tabIndex={0}
          ref={box}
          onScroll={(event) => {
            setTop(event.currentTarget.scrollTop);
            keepPlace(event.currentTarget.scrollTop);
          }}
        >
          <div role="rowgroup" class="head">
            <div role="row" aria-rowindex={1} style={tracks}>
              {columns.map((column) => (
                <span
                  key={column.name}
                  role="columnheader"
                  class={column.numeric && "numeric"}
                  aria-sort={directionOf(column.name, order)}
                >
                  {column.sort && onOrder ? (
                    <button type="button" class="order" onClick={() => onOrder(column.name)}>
                      {column.name}
                    </button>
                  ) : (
                    column.name
                  )}
                </span>
              ))}
            </div>
          </div>
          <div
            role="rowgroup"
            class="rows"
            style={{ height: `${total * ROW}px` }}
            onMouseOver={sayWhole}
          >
            {indices.map((index) => {
              const value = row(index);
              return (
                <div
                  key={value === undefined ? index : id(value)}
                  role="row"
                  aria-rowindex={index + 2}
                  style={{ ...tracks, transform: `translateY(${index * ROW}px)` }}
                >
                  {columns.map((column) => (
                    <span key={column.name} role="cell" class={column.numeric && "numeric"}>
                      {value === undefined ? <i class="ghost" /> : column.cell(value)}
                    </span>
                  ))}
                </div>
              );
            })}
          </div>
        </div>
      )}
    </section>
  );
}

/** A cell that has no room for its text has it under the mouse. */
function sayWhole({ target }: MouseEvent): void {
  const cell = (target as Element).closest<HTMLElement>("[role=cell]");
  if (cell) cell.title = cell.scrollWidth > cell.clientWidth ? (cell.textContent ?? "") : "";
}

function directionOf(column: string, order: Order | undefined) {
  if (order?.by !== column) return undefined;
  return order.descending ? ("descending" as const) : ("ascending" as const);
}

/** How long a list rests before its place is kept: browsers count how often that is done. */
const REST = 200;

/**
 * Who goes back to a list finds it where it was left: its place is kept with the browser's history, under the
 * list's name.
 */
function usePlace(name: string, box: { current: HTMLElement | null }, isFilled: boolean) {
  const wanted = useRef(keptPlaces()[name]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    if (!isFilled || !box.current || !wanted.current) return;
    box.current.scrollTop = wanted.current;
    wanted.current = undefined;
  }, [isFilled]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (top: number) => {
    const { hash } = location;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      if (location.hash === hash) history.replaceState({ ...keptPlaces(), [name]: top }, "");
    }, REST);
  };
}

function keptPlaces(): Record<string, number> {
  return (history.state as Record<string, number> | null) ?? {};
}

/** A list of rows that are all at hand, with a search in what `text` says of each. */
export function Whole<T>(props: {
  caption: string;
  columns: Column<T>[];
  rows: T[] | undefined;
  id: (row: T) => string;
  none: ComponentChildren;
  text?: (row: T) => string;
  /** What can be done with the list as a whole. */
  action?: ComponentChildren;
  /** The column that the rows are in the order of at first, instead of that in which they come. */
  first?: string;
}) {
  const { caption, columns, rows, id, none, text, action, first } = props;
  const [search, setSearch] = useState("");
  const [order, setOrder] = useState(first === undefined ? undefined : { by: first, descending: false });
  const wanted = search.trim().toLowerCase();
  const matching = useMemo(() => {
    const found =
      text && wanted !== ""
        ? (rows ?? []).filter((row) => text(row).toLowerCase().includes(wanted))
        : (rows ?? []);
    const by = columns.find((column) => column.name === order?.by)?.sort;
    return by ? sorted(found, by, order?.descending ?? false) : found;
  }, [rows, wanted, order]);
  const field = text && (rows?.length ?? 0) > SEARCHED && (
    <input
      type="search"
      placeholder="Search  /"
      aria-label={`Search in ${caption}`}
      value={search}
      onInput={(event) => setSearch(event.currentTarget.value)}
    />
  );
  return (
    <List
      caption={caption}
      columns={columns}
      total={matching.length}
      isRead={rows !== undefined}
      row={(index) => matching[index]}
      id={id}
      none={rows === undefined ? "Reading…" : rows.length > 0 ? "Nothing matches." : none}
      aside={
        <span class="actions">
          {field}
          {action}
        </span>
      }
      order={order}
      onOrder={(by) =>
        setOrder((last) => ({ by, descending: last?.by === by && !last.descending }))
      }
    />
  );
}

/** What has nothing to be compared by comes last, either way. */
function sorted<T>(rows: T[], by: (row: T) => string | number | undefined, descending: boolean): T[] {
  const keyed = rows.map((row) => ({ row, key: comparable(by(row)) }));
  keyed.sort(({ key: one }, { key: other }) => {
    if (one === undefined || other === undefined) {
      return Number(one === undefined) - Number(other === undefined);
    }
    const order = one < other ? -1 : one > other ? 1 : 0;
    return descending ? -order : order;
  });
  return keyed.map(({ row }) => row);
}

/** `node10` comes after `node9`. (The browser's own way of comparing such is too slow for many rows.) */
function comparable(key: string | number | undefined): string | number | undefined {
  if (typeof key !== "string") return key;
  return key.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
}

/** More rows than this are worth a search field. */
const SEARCHED = 8;

export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const changed = () => setNarrow(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return narrow;
}
