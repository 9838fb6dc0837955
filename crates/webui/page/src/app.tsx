import { useEffect, useState } from "preact/hooks";

import { AgentHome } from "./agent";
import { NotLeading, json } from "./files";
import { Master } from "./master";
import { Trouble } from "./parts";
import { usePolled } from "./poll";
import { type Route, parse } from "./route";
import { SandboxView } from "./sandbox";
import { type State, isMaster } from "./state";

/** The page of whichever daemon serves it. */
export function App() {
  const route = useRoute();
  const { value: state, error } = usePolled<State>("state", (_, signal) => json("/state", signal));
  useEffect(() => {
    document.title = title(state, route);
  });
  return (
    <>
      <Trouble error={error} />
      {error instanceof NotLeading && (
        <p class="trouble">
          <a href="/redirect">Go to the one that does</a>
        </p>
      )}
      {state && <View state={state} route={route} />}
    </>
  );
}

function View({ state, route }: { state: State; route: Route }) {
  if (isMaster(state)) return <Master state={state} />;
  switch (route.view) {
    case "home":
      return <AgentHome state={state} />;
    case "sandbox":
      return <SandboxView state={state} route={route} />;
  }
}

function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parse(hash);
}

function title(state: State | undefined, route: Route): string {
  if (!state) return "Meseta";
  if (isMaster(state)) return state.cluster ? `${state.cluster} – Meseta` : "Meseta";
  if (route.view === "sandbox") return `${route.executor} – Meseta`;
  return `Agent ${state.hostname || state.pid} – Meseta`;
}
