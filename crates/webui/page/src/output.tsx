import { useEffect, useRef, useState } from "preact/hooks";

import { download, read, size } from "./files";
import { bytes } from "./format";
import { Trouble } from "./parts";
import { usePolled } from "./poll";
import { EMPTY, KEPT, type Tail, follow, isCut } from "./tail";

/** The end of a file, kept up with while it grows. */
export function Output(props: { path: string; name: string; tall?: true }) {
  const { path, name, tall } = props;
  const { value: tail, error } = usePolled<Tail>(path, (last, signal) =>
    follow(
      last ?? EMPTY,
      () => size(path, signal),
      (offset, length) => read(path, offset, length, signal),
    ),
  );
  const box = useRef<HTMLPreElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const toEnd = () => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  };
  // Only who looks at the end is taken along with it.
  useEffect(() => {
    if (atEnd) toEnd();
  }, [tail]);
  return (
    <section class={tall ? "output tall" : "output"}>
      <div class="above">
        <h2>
          {name} <small>{tail ? bytes(tail.end) : ""}</small>
        </h2>
        <span class="actions">
          {!atEnd && (
            <button type="button" onClick={toEnd}>
              Follow the end
            </button>
          )}
          <a href={download(path)} aria-label={`Download ${name}`}>
            Download
          </a>
        </span>
      </div>
      <Trouble error={error} />
      {tail && isCut(tail) && <p class="none">The last {bytes(KEPT)} are shown.</p>}
      <pre
        ref={box}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={name}
        onScroll={({ currentTarget: at }) => {
          setAtEnd(at.scrollHeight - at.scrollTop - at.clientHeight < 20);
        }}
      >
        {tail?.end === 0 && <span class="none">Nothing yet.</span>}
        {tail?.pieces.map((piece) => <span key={piece.offset}>{piece.text}</span>)}
      </pre>
    </section>
  );
}

/** The log of the daemon that serves the page, if it is told to keep one. */
export function Log({ path, kept }: { path: string; kept: boolean }) {
  if (kept) return <Output path={path} name="Log" tall />;
  return (
    <section>
      <div class="above">
        <h2>Log</h2>
      </div>
      <p class="empty">
        It goes to the standard error of the process alone. With --log_dir=&lt;folder&gt; it is kept in files and
        shown here.
      </p>
    </section>
  );
}

/** Whether a daemon with these flags shows a log. */
export function keepsLog(flags: Record<string, string> | undefined): boolean {
  return flags?.["log_dir"] !== undefined || flags?.["external_log_file"] !== undefined;
}
