import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { count } from "./format";

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** What a search looks into; columns without it are not searched. */
  text?: (row: T) => string;
  numeric?: true;
}

/** Rows that are in the page at once: a browser stays quick with them whatever the cluster has. */
const STEP = 100;

/** More rows than this are worth a search field. */
const SEARCHED = 8;

export function Table<T>(props: {
  caption: string;
  rows: T[];
  columns: Column<T>[];
  id: (row: T) => string;
  none: string;
}) {
  const { caption, rows, columns, id, none } = props;
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState(STEP);
  const wanted = search.trim().toLowerCase();
  const matching =
    wanted === ""
      ? rows
      : rows.filter((row) =>
          columns.some((column) => column.text?.(row).toLowerCase().includes(wanted)),
        );
  const left = matching.length - shown;
  return (
    <section>
      <div class="above">
        {/* The caption is above the table for the eye, and in it for readers. */}
        <h2 aria-hidden="true">
          {caption} <small>{count(rows.length)}</small>
        </h2>
        {(rows.length > SEARCHED || search !== "") && (
          <input
            type="search"
            placeholder="Search"
            aria-label={`Search in ${caption}`}
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        )}
      </div>
      <div class="scroll">
        <table>
          <caption class="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column.name} scope="col" class={column.numeric && "numeric"}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {matching.slice(0, shown).map((row) => (
              <tr key={id(row)}>
                {columns.map((column) => (
                  <td key={column.name} class={column.numeric && "numeric"}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            ))}
            {matching.length === 0 && (
              <tr>
                <td class="none" colSpan={columns.length}>
                  {rows.length === 0 ? none : "Nothing matches."}
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
      {left > 0 && (
        <button type="button" onClick={() => setShown(shown + STEP)}>
          Show {count(Math.min(left, STEP))} more of {count(left)}
        </button>
      )}
    </section>
  );
}
