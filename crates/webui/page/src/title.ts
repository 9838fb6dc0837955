import type { Summary } from "./api";
import { agentName } from "./names";
import type { Route } from "./route";

/** What tabs and histories call a view. */

const VIEWS = {
  tasks: "Tasks",
  agents: "Agents",
  frameworks: "Frameworks",
  roles: "Roles and quota",
  offers: "Offers",
  maintenance: "Maintenance",
  server: "Server",
} as const;

export function title(route: Route, summary: Summary | undefined): string {
  return [viewOf(route, summary), summary?.cluster, "Meseta"].filter((part) => part).join(" – ");
}

function viewOf(route: Route, summary: Summary | undefined): string | undefined {
  switch (route.view) {
    case "home":
    case "sandbox":
    case "terminal":
      return undefined;
    case "agent": {
      const agent = summary?.slaves.find((one) => one.id === route.id);
      return agent ? agentName(agent) : route.id;
    }
    case "framework":
      return summary?.frameworks.find((one) => one.id === route.id)?.name ?? route.id;
    case "role":
      return `Role ${route.id}`;
    case "task":
      return route.task;
    default:
      return VIEWS[route.view];
  }
}
