import { useEffect, useState } from "preact/hooks";

import { AgentPage } from "./agent";
import { type Metrics, metrics } from "./api";
import { NotLeading } from "./files";
import { MasterPage } from "./master";
import { Trouble } from "./parts";
import { usePolled } from "./poll";
import { type Route, parse } from "./route";

/** The page of whichever daemon serves it. */
export function App() {
  const route = useRoute();
  const { value, error } = usePolled<Metrics>("metrics", (_, signal) => metrics(signal));
  // What was focused is gone with the view before.
  useEffect(() => window.scrollTo?.(0, 0), [JSON.stringify(route)]);
  return (
    <>
      <Trouble error={error} />
      {error instanceof NotLeading && (
        <p class="trouble">
          <a href="/redirect">Go to the one that does</a>
        </p>
      )}
      {value &&
        ("slave/registered" in value ? (
          <AgentPage route={route} />
        ) : (
          <MasterPage metrics={value} route={route} stale={error !== undefined} />
        ))}
    </>
  );
}

function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const moved = () => setHash(location.hash);
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return parse(hash);
}
