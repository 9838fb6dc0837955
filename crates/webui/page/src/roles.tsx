import { useState } from "preact/hooks";

import { Action } from "./action";
import { type Role, order, roles } from "./api";
import { count } from "./format";
import { type Column, Whole } from "./list";
import type { Cluster } from "./master";
import { Crumbs, Fact, Trouble, amounts } from "./parts";
import { usePolled } from "./poll";
import { link } from "./route";

/** What quotas can be set of here. */
const LIMITED = ["cpus", "mem", "disk", "gpus"];

function useRoles() {
  return usePolled<{ roles: Role[] }>("roles", (_, signal) => roles(signal), "by events");
}

export function RolesView(_: { cluster: Cluster }) {
  const { value, error } = useRoles();
  return (
    <>
      <div class="title">
        <h1>Roles and quota</h1>
        <div class="actions">
          <SetQuota roles={value?.roles ?? []} />
          <SetWeight />
        </div>
      </div>
      <Trouble error={error} />
      <Whole
        caption="Roles"
        columns={COLUMNS}
        rows={value?.roles}
        id={(role) => role.name}
        text={(role) => role.name}
        none="No role is in use. A role appears when a framework subscribes to it, or when it gets a weight, a quota or a reservation."
      />
    </>
  );
}

const COLUMNS: Column<Role>[] = [
  {
    name: "Role",
    width: "minmax(0, 1fr)",
    cell: (role) => <a href={link(["roles", role.name])}>{role.name}</a>,
    sort: (role) => role.name,
  },
  {
    name: "Weight",
    width: "5rem",
    numeric: true,
    cell: (role) => count(role.weight ?? 1),
    sort: (role) => role.weight ?? 1,
  },
  {
    name: "Frameworks",
    width: "6rem",
    numeric: true,
    minor: true,
    cell: (role) => count(role.frameworks?.length ?? 0),
    sort: (role) => role.frameworks?.length ?? 0,
  },
  { ...of("Allocated", (role) => role.allocated), width: "minmax(0, 2.5fr)" },
  { ...of("Reserved", (role) => role.reserved), minor: true },
  { ...of("Guarantee", (role) => role.quota?.guarantee), minor: true },
  { ...of("Limit", (role) => role.quota?.limit), minor: true },
  {
    name: "Of its limit",
    width: "5.5rem",
    numeric: true,
    cell: ({ quota }) => <Filled part={filled(quota)} />,
    sort: ({ quota }) => filled(quota),
  },
];

function of(name: string, what: (role: Role) => Record<string, unknown> | undefined): Column<Role> {
  return { name, width: "minmax(0, 2fr)", cell: (role) => amounts(what(role)) };
}

/** The part of a limit that is taken, of the kind that is nearest to its end. */
function filled(quota: Role["quota"]): number | undefined {
  const limits = Object.entries(quota?.limit ?? {}).filter(([, limit]) => limit > 0);
  const parts = limits.map(([kind, limit]) => (quota?.consumed?.[kind] ?? 0) / limit);
  return parts.length > 0 ? Math.max(...parts) : undefined;
}

function Filled({ part }: { part: number | undefined }) {
  if (part === undefined) return <>–</>;
  return <span class={part >= 1 ? "bad" : ""}>{count(100 * part)} %</span>;
}

/** One role, and what can be changed of it. */
export function RoleView({ cluster, name }: { cluster: Cluster; name: string }) {
  const { value, error } = useRoles();
  const role = value?.roles.find((one) => one.name === name);
  const { guarantee, limit, consumed } = role?.quota ?? {};
  const names = new Map(cluster.summary.frameworks.map((one) => [one.id, one.name]));
  const here = (role?.frameworks ?? []).map((id) => ({ id, name: names.get(id) ?? id }));
  return (
    <>
      <Crumbs to="#/roles" name="Roles" />
      <div class="title">
        <h1>{name}</h1>
        {name !== "*" && (
          <div class="actions">
            <SetQuota role={name} roles={value?.roles ?? []} />
            <SetWeight role={name} weight={role?.weight} />
          </div>
        )}
      </div>
      <Trouble error={error} />
      {value && !role ? (
        <p class="empty">No framework, weight, quota or reservation is of this role.</p>
      ) : (
        <dl class="facts">
          <Fact name="Weight">{count(role?.weight ?? 1)}</Fact>
          <Fact name="Guarantee">{amounts(guarantee)}</Fact>
          <Fact name="Limit">{amounts(limit)}</Fact>
          <Fact name="Counts against them">{amounts(consumed)}</Fact>
          <Fact name="Allocated">{amounts(role?.allocated)}</Fact>
          <Fact name="Offered">{amounts(role?.offered)}</Fact>
          <Fact name="Reserved">{amounts(role?.reserved)}</Fact>
        </dl>
      )}
      <Whole
        caption="Frameworks"
        columns={FRAMEWORKS}
        rows={value && here}
        id={(framework) => framework.id}
        text={(framework) => `${framework.name} ${framework.id}`}
        none="No framework subscribes to this role."
      />
    </>
  );
}

const FRAMEWORKS: Column<{ id: string; name: string }>[] = [
  {
    name: "Name",
    width: "minmax(0, 2fr)",
    cell: ({ id, name }) => <a href={link(["frameworks", id])}>{name}</a>,
  },
  { name: "Id", width: "minmax(0, 3fr)", minor: true, cell: ({ id }) => <code>{id}</code> },
];

function SetWeight({ role, weight }: { role?: string; weight?: number | undefined }) {
  const act = (form: FormData) => {
    const role = String(form.get("role"));
    const weight = Number(form.get("weight"));
    return order({
      type: "UPDATE_WEIGHTS",
      update_weights: { weight_infos: [{ role, weight }] },
    });
  };
  return (
    <Action name="Set weight" title="Set the weight of a role" confirm="Set" act={act}>
      <p>A role of weight 2 gets twice the share of a role of weight 1.</p>
      <RoleField role={role} />
      <label>
        Weight
        <input name="weight" type="number" min="0.001" step="any" required defaultValue={weight} />
      </label>
    </Action>
  );
}

function SetQuota({ role, roles }: { role?: string; roles: Role[] }) {
  const [typed, setTyped] = useState("");
  // A quota is set as a whole: what a role has already stands in the fields.
  const known = roles.find(({ name }) => name === (role ?? typed));
  const act = (form: FormData) => {
    const given = (what: string) => {
      const values = LIMITED.map((kind) => [kind, String(form.get(`${what} ${kind}`))] as const);
      const set = values.filter(([, value]) => value !== "");
      return Object.fromEntries(set.map(([kind, value]) => [kind, { value: Number(value) }]));
    };
    return order({
      type: "UPDATE_QUOTA",
      update_quota: {
        quota_configs: [
          { role: String(form.get("role")), guarantees: given("guarantee"), limits: given("limit") },
        ],
      },
    });
  };
  return (
    <Action name="Set quota" title="Set the quota of a role" confirm="Set" act={act}>
      <p>
        The guarantee is kept free for the role; it never gets more than the limit. What is left empty
        is not guaranteed, and not limited. Memory and disk are in megabytes.
      </p>
      <RoleField role={role} roles={roles} onType={setTyped} />
      <div class="grid" key={known?.name}>
        {LIMITED.flatMap((kind) =>
          (["guarantee", "limit"] as const).map((what) => (
            <label key={`${what} ${kind}`}>
              {kind}, {what}
              <input
                name={`${what} ${kind}`}
                type="number"
                min="0"
                step="any"
                defaultValue={known?.quota?.[what]?.[kind]}
              />
            </label>
          )),
        )}
      </div>
    </Action>
  );
}

function RoleField(props: {
  role: string | undefined;
  roles?: Role[];
  onType?: (role: string) => void;
}) {
  const { role, roles, onType } = props;
  return (
    <label>
      Role
      <input
        name="role"
        list="roles"
        required
        defaultValue={role}
        readOnly={role !== undefined}
        onInput={(event) => onType?.(event.currentTarget.value)}
      />
      <datalist id="roles">
        {roles?.map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </label>
  );
}
