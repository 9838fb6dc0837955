import { type Frameworks, type Offer, type Scalar, ask } from "./api";
import { type Column, Whole } from "./list";
import type { Cluster } from "./master";
import { Id, Trouble, amount } from "./parts";
import { usePolled } from "./poll";
import { link } from "./route";

interface Row {
  offer: Offer;
  framework: string;
}

export function OffersView(_: { cluster: Cluster }) {
  const { value, error } = usePolled<Frameworks>("offers", (_, signal) =>
    ask<Frameworks>("GET_FRAMEWORKS", signal),
  );
  const rows = value?.frameworks?.flatMap((one) =>
    (one.offers ?? []).map((offer): Row => ({ offer, framework: one.framework_info.name })),
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
        text={({ offer, framework }) => `${offer.id.value} ${framework} ${offer.hostname}`}
        none="No offer is outstanding: what frameworks were offered they have used or declined. A framework's own view says why it gets none."
      />
    </>
  );
}

const COLUMNS: Column<Row>[] = [
  {
    name: "Framework",
    width: "minmax(0, 1.5fr)",
    cell: ({ offer, framework }) => (
      <a href={link(["frameworks", offer.framework_id.value])}>{framework}</a>
    ),
  },
  {
    name: "Agent",
    width: "minmax(0, 1.5fr)",
    cell: ({ offer }) => (
      <a href={link(["agents", offer.agent_id.value])}>{offer.hostname ?? offer.agent_id.value}</a>
    ),
  },
  {
    name: "Role",
    width: "minmax(0, 1fr)",
    minor: true,
    cell: ({ offer }) => offer.allocation_info?.role ?? "*",
  },
  {
    name: "Resources",
    width: "minmax(0, 3fr)",
    cell: ({ offer }) => (offer.resources ?? []).map(said).join(" · "),
  },
  {
    name: "Id",
    width: "minmax(0, 1fr)",
    minor: true,
    cell: ({ offer }) => <Id value={offer.id.value} />,
  },
];

function said(resource: Scalar): string {
  const { name, scalar, ranges, set } = resource;
  if (scalar) return `${name} ${amount(name, scalar.value)}`;
  if (ranges) {
    return `${name} ${(ranges.range ?? []).map(({ begin, end }) => `${begin}–${end}`).join(", ")}`;
  }
  return `${name} ${(set?.item ?? []).join(", ")}`;
}
