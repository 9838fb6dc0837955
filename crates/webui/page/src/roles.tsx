import { type Role, order, roles } from "./api";
import { count } from "./format";
import { type Column, Whole } from "./list";
import type { Cluster } from "./master";
import { Action, Trouble, amounts } from "./parts";
import { usePolled } from "./poll";

/** What quotas can be set of here. */
const LIMITED = ["cpus", "mem", "disk", "gpus"];

export function RolesView(_: { cluster: Cluster }) {
  const { value, error } = usePolled<{ roles: Role[] }>("roles", (_, signal) => roles(signal), "by events");
  return (
    <>
      <div class="title">
        <h1>Roles and quota</h1>
        <div class="actions">
          <SetQuota />
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
  { name: "Role", width: "minmax(0, 1.5fr)", cell: (role) => <b>{role.name}</b> },
  { name: "Weight", width: "5rem", numeric: true, cell: (role) => count(role.weight ?? 1) },
  {
    name: "Frameworks",
    width: "6rem",
    numeric: true,
    minor: true,
    cell: (role) => count(role.frameworks?.length ?? 0),
  },
  { name: "Allocated", width: "minmax(0, 2fr)", cell: (role) => amounts(role.allocated) },
  { name: "Offered", width: "minmax(0, 2fr)", minor: true, cell: (role) => amounts(role.offered) },
  { name: "Reserved", width: "minmax(0, 2fr)", minor: true, cell: (role) => amounts(role.reserved) },
  {
    name: "Guarantee",
    width: "minmax(0, 2fr)",
    minor: true,
    cell: (role) => amounts(role.quota?.guarantee),
  },
  { name: "Limit", width: "minmax(0, 2fr)", minor: true, cell: (role) => amounts(role.quota?.limit) },
];

function SetWeight() {
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
      <label>
        Role
        <input name="role" required />
      </label>
      <label>
        Weight
        <input name="weight" type="number" min="0.001" step="any" required />
      </label>
    </Action>
  );
}

function SetQuota() {
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
      <label>
        Role
        <input name="role" required />
      </label>
      <div class="grid">
        {LIMITED.flatMap((kind) =>
          ["guarantee", "limit"].map((what) => (
            <label key={`${what} ${kind}`}>
              {kind}, {what}
              <input name={`${what} ${kind}`} type="number" min="0" step="any" />
            </label>
          )),
        )}
      </div>
    </Action>
  );
}
