import { useMemo } from "preact/hooks";

import { Action } from "./action";
import { type FrameworkFacts, type Frameworks, type Why, type WhyRole, ask, order, why } from "./api";
import { count, duration } from "./format";
import { type Column, Whole } from "./list";
import { tasksOn } from "./machines";
import type { Cluster } from "./master";
import { Crumbs, Fact, Id, KINDS, Meters, Outward, Time, Trouble, amounts } from "./parts";
import { usePolled } from "./poll";
import { link } from "./route";
import { total } from "./state";
import { TaskList, tasksOf } from "./tasks";

type Summary = Cluster["summary"]["frameworks"][number];

interface Row {
  facts: FrameworkFacts;
  summary: Summary | undefined;
}

function useFrameworks() {
  return usePolled<Frameworks>(
    "frameworks",
    (_, signal) => ask<Frameworks>("GET_FRAMEWORKS", signal),
    "by events",
  );
}

export function FrameworksView({ cluster }: { cluster: Cluster }) {
  const { value, error } = useFrameworks();
  const [active, completed] = useMemo(() => {
    const summaries = new Map(cluster.summary.frameworks.map((one) => [one.id, one]));
    const rows = (all: FrameworkFacts[] = []): Row[] =>
      all.map((facts) => ({ facts, summary: summaries.get(facts.framework_info.id.value) }));
    // Those that have ended last are looked for first.
    return value
      ? [rows(value.frameworks), rows(value.completed_frameworks).reverse()]
      : [undefined, undefined];
  }, [value, cluster.summary]);
  return (
    <>
      <div class="title">
        <h1>Frameworks</h1>
      </div>
      <Trouble error={error} />
      <Whole
        caption="Frameworks"
        columns={columns(cluster)}
        rows={active}
        id={(row) => row.facts.framework_info.id.value}
        text={text}
        none="No framework has subscribed. A first one: meseta execute --master=<this master> --name=hello --command='echo hello'"
      />
      <Whole
        caption="Completed frameworks"
        columns={completedColumns(cluster)}
        rows={completed}
        id={(row) => row.facts.framework_info.id.value}
        text={text}
        none="No framework has ended yet."
      />
    </>
  );
}

function text({ facts: { framework_info: info } }: Row): string {
  return [info.name, info.id.value, info.user, info.principal, ...(info.roles ?? [])].join(" ");
}

function columns(cluster: Cluster): Column<Row>[] {
  return [
    {
      name: "Name",
      width: "minmax(0, 2fr)",
      cell: ({ facts: { framework_info: info } }) => (
        <a href={link(["frameworks", info.id.value])} title={info.id.value}>
          {info.name}
        </a>
      ),
      sort: ({ facts }) => facts.framework_info.name,
    },
    {
      name: "Id",
      width: "5rem",
      // All of a master's begin alike.
      cell: ({ facts: { framework_info: info } }) => (
        <code title={info.id.value}>…{info.id.value.slice(-5)}</code>
      ),
      minor: true,
    },
    {
      name: "State",
      width: "minmax(6.5rem, 1fr)",
      cell: ({ facts }) => <Status facts={facts} />,
      sort: ({ facts }) => status(facts).text,
    },
    {
      name: "Roles",
      width: "minmax(0, 1fr)",
      cell: ({ facts }) => rolesOf(facts),
      minor: true,
      sort: ({ facts }) => rolesOf(facts),
    },
    {
      name: "User",
      width: "minmax(0, 1fr)",
      cell: ({ facts }) => facts.framework_info.user,
      minor: true,
      sort: ({ facts }) => facts.framework_info.user,
    },
    {
      name: "Tasks",
      width: "minmax(0, 1.5fr)",
      cell: ({ summary }) => (summary ? tasksOf(summary) : "–"),
      sort: ({ summary }) => summary && tasksOn(summary),
    },
    {
      name: "Share",
      width: "5rem",
      numeric: true,
      minor: true,
      cell: ({ summary }) => percent(share(cluster, summary)?.part),
      sort: ({ summary }) => share(cluster, summary)?.part,
    },
    {
      name: "Registered",
      width: "7rem",
      minor: true,
      cell: ({ facts }) => <Time at={seconds(facts.registered_time)} />,
      sort: ({ facts }) => facts.registered_time?.nanoseconds,
    },
  ];
}

function completedColumns(cluster: Cluster): Column<Row>[] {
  const same = columns(cluster).filter(
    ({ name }) => !["State", "Share", "Tasks", "Registered"].includes(name),
  );
  const ended = ({ facts }: Row) => seconds(facts.unregistered_time);
  return [...same, { name: "Ended", width: "7rem", cell: (row) => <Time at={ended(row)} />, sort: ended }];
}

function rolesOf(facts: FrameworkFacts): string {
  return (facts.framework_info.roles ?? ["*"]).join(", ");
}

function seconds(time: { nanoseconds: number } | undefined): number | undefined {
  return time && time.nanoseconds / 1e9;
}

/** The largest part that a framework has of any kind of the cluster's resources. */
function share(cluster: Cluster, summary: Summary | undefined) {
  if (!summary) return undefined;
  const parts = KINDS.map(({ kind, name }) => ({
    name,
    part:
      (summary.used_resources?.[kind] ?? 0) / (cluster.metrics[`master/${kind}_total`] || Infinity),
  }));
  return parts.reduce((most, one) => (one.part > most.part ? one : most));
}

function percent(part: number | undefined): string {
  return part === undefined ? "–" : `${count(100 * part)} %`;
}

function status(facts: FrameworkFacts): { text: string; mood: string } {
  if (facts.unregistered_time?.nanoseconds) return { text: "completed", mood: "calm" };
  if (facts.active) return { text: "active", mood: "good" };
  return { text: facts.connected ? "inactive" : "disconnected", mood: "bad" };
}

function Status({ facts }: { facts: FrameworkFacts }) {
  const { text, mood } = status(facts);
  return <span class={`state ${mood}`}>{text}</span>;
}

export function FrameworkView({ cluster, id }: { cluster: Cluster; id: string }) {
  const { value, error } = useFrameworks();
  const active = value?.frameworks?.find((one) => one.framework_info.id.value === id);
  const facts =
    active ?? value?.completed_frameworks?.find((one) => one.framework_info.id.value === id);
  const summary = cluster.summary.frameworks.find((one) => one.id === id);
  if (!facts) {
    return (
      <>
        <Crumbs to="#/frameworks" name="Frameworks" />
        <Trouble error={error} />
        <div class="empty">
          <h1>{id}</h1>
          <p>{value ? "The master does not know this framework." : "Reading…"}</p>
        </div>
      </>
    );
  }
  const info = facts.framework_info;
  const most = share(cluster, summary);
  return (
    <>
      <Crumbs to="#/frameworks" name="Frameworks" />
      <Trouble error={error} />
      <div class="title">
        <h1>{info.name}</h1>
        <Status facts={facts} />
        {active && (
          <div class="actions">
            <Action
              name="Tear down"
              title={`Tear down ${info.name}?`}
              confirm="Tear down"
              danger
              act={() => order({ type: "TEARDOWN", teardown: { framework_id: { value: id } } })}
            >
              <p>All of its tasks are killed, and it can never come back under this id.</p>
            </Action>
          </div>
        )}
      </div>
      <dl class="facts">
        <Fact name="Id">
          <Id value={id} />
        </Fact>
        <Fact name="Roles">{rolesOf(facts)}</Fact>
        <Fact name="User">{info.user ?? "–"}</Fact>
        {info.principal && <Fact name="Principal">{info.principal}</Fact>}
        <Fact name="Registered">
          <Time at={seconds(facts.registered_time)} />
        </Fact>
        <Fact name="Failover timeout">
          {info.failover_timeout ? duration(info.failover_timeout) : "none"}
        </Fact>
        {most && (
          <Fact name="Dominant share">
            {percent(most.part)} of {most.name}
          </Fact>
        )}
        {info.webui_url && (
          <Fact name="Its own page">
            <Outward to={info.webui_url}>{info.webui_url}</Outward>
          </Fact>
        )}
        <Fact name="Capabilities">
          {info.capabilities?.map(({ type }) => type.toLowerCase().replaceAll("_", " ")).join(", ") ||
            "none"}
        </Fact>
      </dl>
      {summary && (
        <section>
          <div class="above">
            <h2>Resources</h2>
          </div>
          <Meters
            used={total([summary.used_resources])}
            offered={total([summary.offered_resources])}
            all={total(cluster.summary.slaves.map((agent) => agent.resources))}
          />
        </section>
      )}
      {active && <Offers id={id} />}
      <TaskList
        caption="Tasks"
        cluster={cluster}
        query={{ framework: id }}
        none="This framework has not launched a task yet."
      />
    </>
  );
}

/** Why a framework gets no offers, or that it does. */
function Offers({ id }: { id: string }) {
  const { value, error } = usePolled<Why>(id, (_, signal) => why(id, signal));
  return (
    <section>
      <div class="above">
        <h2>Offers</h2>
      </div>
      <Trouble error={error} />
      {value?.roles.map((role) => <RoleOffers key={role.role} role={role} />)}
    </section>
  );
}

function RoleOffers({ role }: { role: WhyRole }) {
  const held =
    role.offers > 0
      ? `It holds ${count(role.offers)} ${role.offers === 1 ? "offer" : "offers"}.`
      : "It holds no offer.";
  const next =
    role.offerable > 0
      ? `${count(role.offerable)} of ${count(role.agents)} agents can be offered to it.`
      : role.agents === 0
        ? "There is no agent that could be offered."
        : `None of ${count(role.agents)} agents can be offered to it:`;
  return (
    <article class="card why">
      <h3>
        Role {role.role} <small>weight {count(role.weight)}</small>
      </h3>
      <p>
        {held} {next}
      </p>
      {role.reasons.length > 0 && (
        <ul>
          {role.reasons.map((one) => (
            <li key={one.reason}>
              <b>
                {count(one.agents)} {one.agents === 1 ? "agent" : "agents"}
              </b>
              : {one.meaning || one.reason}. <span class="none">{one.remedy}</span>
            </li>
          ))}
        </ul>
      )}
      {role.nearest.length > 0 && role.offerable === 0 && (
        <details>
          <summary>Agents that come nearest</summary>
          <ul>
            {role.nearest.map((one) => (
              <li key={one.agent_id}>
                <a href={link(["agents", one.agent_id])}>{one.hostname ?? one.agent_id}</a>:{" "}
                {one.reason.toLowerCase().replaceAll("_", " ")}
                {one.free && ` · free ${amounts(one.free)}`}
                {one.missing && ` · missing ${amounts(one.missing)}`}
                {one.used && ` · used ${amounts(one.used)}`}
              </li>
            ))}
          </ul>
        </details>
      )}
      {role.quotas.map((quota) => (
        <p key={quota.role} class="none">
          Quota of {quota.role}: {amounts(quota.consumed)} used of at most {amounts(quota.limits)}.
        </p>
      ))}
    </article>
  );
}
