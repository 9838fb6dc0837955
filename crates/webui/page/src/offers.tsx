import { type Frameworks, type InverseOffer, type Offer, ask } from "./api";
import { type Column, Whole } from "./list";
import { lasting, startOf } from "./maintenance";
import type { Cluster } from "./master";
import { agentNames } from "./names";
import { Id, Time, Trouble, saying } from "./parts";
import { usePolled } from "./poll";
import { link } from "./route";

interface Row {
  offer: Offer;
  framework: string;
  agent: string;
}

interface Inverse {
  offer: InverseOffer;
  framework: string;
  agent: string;
}

export function OffersView({ cluster }: { cluster: Cluster }) {
  const { value, error } = usePolled<Frameworks>("offers", (_, signal) =>
    ask<Frameworks>("GET_FRAMEWORKS", signal),
  );
  const agentOf = agentNames(cluster);
  const rows = value?.frameworks?.flatMap((one) =>
    (one.offers ?? []).map(
      (offer): Row => ({
        offer,
        framework: one.framework_info.name,
        agent: agentOf(offer.agent_id.value),
      }),
    ),
  );
  const inverse = value?.frameworks?.flatMap((one) =>
    (one.inverse_offers ?? []).map(
      (offer): Inverse => ({
        offer,
        framework: one.framework_info.name,
        agent: agentOf(offer.agent_id?.value ?? ""),
      }),
    ),
  );
  return (
    <>
      <div class="title">
        <h1>Offers</h1>
      </div>
      <Trouble error={error} />
      <Whole
        caption="Outstanding offers"
        columns={COLUMNS}
        rows={value && (rows ?? [])}
        id={({ offer }) => offer.id.value}
        text={({ offer, framework, agent }) => `${offer.id.value} ${framework} ${agent}`}
        none="No offer is outstanding: what frameworks were offered they have used or declined. A framework's own view says why it gets none."
      />
      {inverse && inverse.length > 0 && (
        <Whole
          caption="Inverse offers"
          columns={INVERSE}
          rows={inverse}
          id={({ offer }) => offer.id.value}
          text={({ offer, framework, agent }) => `${offer.id.value} ${framework} ${agent}`}
          none=""
        />
      )}
    </>
  );
}

/** What frameworks are asked to give back, because a machine will be away. */
const INVERSE: Column<Inverse>[] = [
  {
    name: "Framework",
    width: "minmax(0, 1.5fr)",
    cell: ({ offer, framework }) => (
      <a href={link(["frameworks", offer.framework_id.value])}>{framework}</a>
    ),
    sort: ({ framework }) => framework,
  },
  {
    name: "Agent",
    width: "minmax(0, 1.5fr)",
    cell: ({ offer, agent }) => <a href={link(["agents", offer.agent_id?.value ?? ""])}>{agent}</a>,
    sort: ({ agent }) => agent,
  },
  {
    name: "Away",
    width: "minmax(0, 1fr)",
    cell: ({ offer }) => <Time at={startOf(offer.unavailability)} ahead />,
  },
  {
    name: "Lasts",
    width: "minmax(0, 1fr)",
    minor: true,
    cell: ({ offer }) => lasting(offer.unavailability),
  },
  {
    name: "Id",
    width: "minmax(0, 1fr)",
    minor: true,
    cell: ({ offer }) => <Id value={offer.id.value} />,
  },
];

const COLUMNS: Column<Row>[] = [
  {
    name: "Framework",
    width: "minmax(0, 1.5fr)",
    cell: ({ offer, framework }) => (
      <a href={link(["frameworks", offer.framework_id.value])}>{framework}</a>
    ),
    sort: ({ framework }) => framework,
  },
  {
    name: "Agent",
    width: "minmax(0, 1.5fr)",
    cell: ({ offer, agent }) => <a href={link(["agents", offer.agent_id.value])}>{agent}</a>,
    sort: ({ agent }) => agent,
  },
  {
    name: "Role",
    width: "minmax(0, 1fr)",
    minor: true,
    cell: ({ offer }) => offer.allocation_info?.role ?? "*",
    sort: ({ offer }) => offer.allocation_info?.role ?? "*",
  },
  {
    name: "Resources",
    width: "minmax(0, 3fr)",
    cell: ({ offer }) => (offer.resources ?? []).map(saying).join(" · "),
  },
  {
    name: "Id",
    width: "minmax(0, 1fr)",
    minor: true,
    cell: ({ offer }) => <Id value={offer.id.value} />,
  },
];
