import type { Terminal } from "@xterm/headless";
import { useEffect, useState } from "preact/hooks";

import { containersOf } from "./agent";
import { Crumbs, Trouble } from "./parts";
import { type Sandbox, format } from "./route";
import { Screen } from "./screen";
import { Session } from "./session";
import type { AgentState } from "./state";

/** Lines that are remembered of what has scrolled away. */
const REMEMBERED = 2_000;

/** A terminal in the container of a sandbox. */
export function TerminalView({ state, route }: { state: AgentState; route: Sandbox }) {
  // It stays the same container though the executor may get a new one.
  const [containers] = useState(() => containersOf(state, route));
  const [shell, setShell] = useState(1);
  return (
    <>
      <Crumbs to={format({ ...route, view: "sandbox" })} name="Output and files" />
      <div class="title">
        <h1>{route.executor}</h1>
        <span class="none">a shell in its container</span>
      </div>
      {containers ? (
        <Shell key={shell} containers={containers} again={() => setShell((last) => last + 1)} />
      ) : (
        <p class="empty">The agent does not know this container: it has ended, or was never here.</p>
      )}
    </>
  );
}

function Shell({ containers, again }: { containers: string[]; again: () => void }) {
  const [parts, setParts] = useState<{ terminal: Terminal; session: Session }>();
  const [error, setError] = useState<Error>();
  const [ended, setEnded] = useState(false);
  useEffect(() => {
    const end = new AbortController();
    void open(containers, setError)
      .then((opened) => {
        if (!end.signal.aborted) setParts(opened);
      })
      .catch(setError);
    return () => end.abort();
  }, []);
  // The shell starts with the size that it has on the screen, which is known by then.
  useEffect(() => {
    if (!parts) return;
    const { terminal, session } = parts;
    const end = new AbortController();
    session
      .run({ rows: terminal.rows, columns: terminal.cols }, end.signal)
      .catch((trouble: Error) => {
        if (!end.signal.aborted) setError(trouble);
      })
      .finally(() => {
        if (!end.signal.aborted) setEnded(true);
      });
    return () => {
      end.abort();
      terminal.dispose();
    };
  }, [parts]);
  return (
    <>
      <Trouble error={error} />
      {parts && (
        <Screen
          terminal={parts.terminal}
          name="Terminal"
          onType={(text) => parts.session.type(text)}
          onResize={(size) => parts.session.resize(size)}
        />
      )}
      <p class="none below">
        {ended ? (
          <>
            The shell has ended.{" "}
            <button type="button" onClick={again}>
              Open another
            </button>
          </>
        ) : (
          <>
            Leaving this page ends the shell and all that it runs. <kbd>Shift</kbd> <kbd>Tab</kbd> leads out
            of the terminal.
          </>
        )}
      </p>
    </>
  );
}

/** The emulator is as large as all the rest of the page, so it comes when it is wanted. */
async function open(containers: string[], fail: (error: Error) => void) {
  const { Terminal } = await import("@xterm/headless");
  const terminal = new Terminal({ allowProposedApi: true, scrollback: REMEMBERED });
  const session = new Session(containers, (output) => terminal.write(output), fail);
  // Programs ask a terminal what it can do, and wait for its answer.
  terminal.onData((answer) => session.type(answer));
  return { terminal, session };
}
