import { useEffect, useRef, useState } from "preact/hooks";

/** What the keyboard does beyond the browser's own. */

const PLACES: Record<string, [string, string]> = {
  o: ["#/", "Overview"],
  t: ["#/tasks", "Tasks"],
  f: ["#/frameworks", "Frameworks"],
  a: ["#/agents", "Agents"],
  r: ["#/roles", "Roles"],
  e: ["#/offers", "Offers"],
  m: ["#/maintenance", "Maintenance"],
  s: ["#/server", "Server"],
};

/** How long a second key may take after `g`. */
const PATIENCE = 1500;

export function Keys() {
  const [shown, setShown] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    let going = 0;
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const place = PLACES[event.key];
      if (place && Date.now() - going < PATIENCE) {
        location.hash = place[0];
      } else if (event.key === "/") {
        document.querySelector<HTMLInputElement>("main input[type=search]")?.focus();
      } else if (event.key === "?") {
        setShown(true);
      } else if (event.key === "j" || event.key === "k") {
        step(event.key === "j" ? 1 : -1);
      } else if (event.key !== "g") {
        return;
      }
      going = event.key === "g" ? Date.now() : 0;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  useEffect(() => {
    if (shown) dialog.current?.showModal();
  }, [shown]);
  return (
    <>
      <button type="button" class="keys" onClick={() => setShown(true)}>
        Keys <kbd>?</kbd>
      </button>
      {shown && (
        <dialog ref={dialog} aria-label="Keys" onClose={() => setShown(false)}>
          <h2>Keys</h2>
          <dl class="rows">
            {Object.entries(PLACES).map(([key, [, name]]) => (
              <div key={key}>
                <dt>
                  <kbd>g</kbd> <kbd>{key}</kbd>
                </dt>
                <dd>{name}</dd>
              </div>
            ))}
            <div>
              <dt>
                <kbd>/</kbd>
              </dt>
              <dd>Search</dd>
            </div>
            <div>
              <dt>
                <kbd>j</kbd> <kbd>k</kbd>
              </dt>
              <dd>Down and up in a list</dd>
            </div>
          </dl>
          <div class="choices">
            <button type="button" onClick={() => dialog.current?.close()}>
              Close
            </button>
          </div>
        </dialog>
      )}
    </>
  );
}

/** Goes to the row after or before the one that has the focus. */
function step(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>(".rows [role=row]")]
    .map((row) => ({ link: row.querySelector<HTMLElement>("a"), n: Number(row.ariaRowIndex) }))
    .sort((one, other) => one.n - other.n);
  const at = rows.findIndex(({ link }) => link === document.activeElement);
  const next = rows[at < 0 ? 0 : at + by]?.link;
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
