import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

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
  row: (index: number) => T | undefined;
  id: (row: T) => string;
  none: ComponentChildren;
  /** What stands beside the caption. */
  aside?: ComponentChildren;
  onRange?: (first: number, last: number) => void;
}) {
  const { caption, total, row, id, none, aside, onRange } = props;
  const box = useRef<HTMLDivElement>(null);
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
          {caption} <small>{count(total)}</small>
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
          onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        >
          <div role="rowgroup" class="head">
            <div role="row" aria-rowindex={1} style={tracks}>
              {columns.map((column) => (
                <span key={column.name} role="columnheader" class={column.numeric && "numeric"}>
                  {column.name}
                </span>
              ))}
            </div>
          </div>
          <div role="rowgroup" class="rows" style={{ height: `${total * ROW}px` }}>
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

/** A list of rows that are all at hand, with a search in what `text` says of each. */
export function Whole<T>(props: {
  caption: string;
  columns: Column<T>[];
  rows: T[] | undefined;
  id: (row: T) => string;
  none: ComponentChildren;
  text?: (row: T) => string;
}) {
  const { caption, columns, rows, id, none, text } = props;
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const matching =
    text && wanted !== ""
      ? (rows ?? []).filter((row) => text(row).toLowerCase().includes(wanted))
      : (rows ?? []);
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
      row={(index) => matching[index]}
      id={id}
      none={rows === undefined ? "Reading…" : rows.length > 0 ? "Nothing matches." : none}
      aside={field}
    />
  );
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
