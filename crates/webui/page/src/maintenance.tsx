import {
  type MachineId,
  type MaintenanceStatus,
  type Window,
  maintenance,
  order,
  schedule,
} from "./api";
import { date, duration } from "./format";
import { type Column, Whole } from "./list";
import type { Cluster } from "./master";
import { Action, Trouble } from "./parts";
import { usePolled } from "./poll";

interface Planned {
  windows: Window[];
  status: MaintenanceStatus;
}

interface Row {
  machine: MachineId;
  window: Window | undefined;
  mode: "up" | "draining" | "down";
}

export function MaintenanceView({ cluster }: { cluster: Cluster }) {
  const { value, error } = usePolled<Planned>("maintenance", async (_, signal) => {
    const [planned, status] = await Promise.all([schedule(signal), maintenance(signal)]);
    return { windows: planned.windows ?? [], status };
  });
  const rows = value?.windows.flatMap((window) =>
    window.machine_ids.map((machine): Row => {
      const is = (one: MachineId) => same(one, machine);
      const down = value.status.down_machines?.some(is);
      const draining = value.status.draining_machines?.some((one) => is(one.id));
      return { machine, window, mode: down ? "down" : draining ? "draining" : "up" };
    }),
  );
  return (
    <>
      <div class="title">
        <h1>Maintenance</h1>
        <div class="actions">
          <Plan cluster={cluster} windows={value?.windows ?? []} />
        </div>
      </div>
      <Trouble error={error} />
      <Whole
        caption="Scheduled machines"
        columns={columns(value?.windows ?? [])}
        rows={rows}
        id={({ machine }) => machineName(machine)}
        text={({ machine }) => machineName(machine)}
        none="No maintenance is scheduled. A schedule tells frameworks in time which machines will be away, by inverse offers."
      />
    </>
  );
}

function same(one: MachineId, other: MachineId): boolean {
  return (one.hostname ?? "") === (other.hostname ?? "") && (one.ip ?? "") === (other.ip ?? "");
}

function machineName(machine: MachineId): string {
  return [machine.hostname, machine.ip].filter((part) => part).join(" / ");
}

function columns(windows: Window[]): Column<Row>[] {
  return [
    { name: "Machine", width: "minmax(0, 2fr)", cell: ({ machine }) => machineName(machine) },
    {
      name: "State",
      width: "minmax(6.5rem, 1fr)",
      cell: ({ mode }) => (
        <span class={`state ${{ up: "good", draining: "busy", down: "bad" }[mode]}`}>{mode}</span>
      ),
    },
    {
      name: "From",
      width: "minmax(0, 1.5fr)",
      minor: true,
      cell: ({ window }) => date((window?.unavailability.start.nanoseconds ?? 0) / 1e9),
    },
    {
      name: "For",
      width: "minmax(0, 1fr)",
      minor: true,
      cell: ({ window }) => {
        const lasting = window?.unavailability.duration?.nanoseconds;
        return lasting === undefined ? "no end given" : duration(lasting / 1e9);
      },
    },
    {
      name: "",
      width: "minmax(11rem, 1fr)",
      cell: ({ machine, mode }) =>
        mode === "down" ? <Up machine={machine} /> : <Down machine={machine} windows={windows} />,
    },
  ];
}

function Down({ machine, windows }: { machine: MachineId; windows: Window[] }) {
  const name = machineName(machine);
  return (
    <span class="actions">
      <Action
        name="Take down"
        title={`Take ${name} down?`}
        confirm="Take down"
        danger
        act={() => order({ type: "START_MAINTENANCE", start_maintenance: { machines: [machine] } })}
      >
        <p>The agents on it are told to end, with all of their tasks.</p>
      </Action>
      <Action
        name="Cancel"
        title={`Cancel the maintenance of ${name}?`}
        confirm="Cancel it"
        act={() => plan(without(windows, machine))}
      >
        <p>It leaves the schedule, and frameworks may use it as before.</p>
      </Action>
    </span>
  );
}

function Up({ machine }: { machine: MachineId }) {
  return (
    <Action
      name="Bring up"
      title={`Bring ${machineName(machine)} up?`}
      confirm="Bring up"
      act={() => order({ type: "STOP_MAINTENANCE", stop_maintenance: { machines: [machine] } })}
    >
      <p>Its agents may register again, and it leaves the schedule.</p>
    </Action>
  );
}

function without(windows: Window[], machine: MachineId): Window[] {
  return windows
    .map((window) => ({
      ...window,
      machine_ids: window.machine_ids.filter((one) => !same(one, machine)),
    }))
    .filter((window) => window.machine_ids.length > 0);
}

function plan(windows: Window[]): Promise<void> {
  return order({
    type: "UPDATE_MAINTENANCE_SCHEDULE",
    update_maintenance_schedule: { schedule: { windows } },
  });
}

/** Adds a machine to the schedule. */
function Plan({ cluster, windows }: { cluster: Cluster; windows: Window[] }) {
  const act = (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const machine: MachineId = {
      ...(text("hostname") && { hostname: text("hostname") }),
      ...(text("ip") && { ip: text("ip") }),
    };
    const start = { nanoseconds: Date.parse(text("start")) * 1e6 };
    const hours = Number(text("hours"));
    const unavailability = hours > 0 ? { start, duration: { nanoseconds: hours * 36e11 } } : { start };
    return plan([...without(windows, machine), { machine_ids: [machine], unavailability }]);
  };
  const hosts = [...new Set(cluster.summary.slaves.map((agent) => agent.hostname))];
  return (
    <Action name="Schedule" title="Schedule maintenance" confirm="Schedule" act={act}>
      <p>Frameworks are told that the machine will be away, and are asked to leave it in time.</p>
      <label>
        Hostname
        <input name="hostname" list="hosts" required />
      </label>
      <datalist id="hosts">
        {hosts.map((host) => (
          <option key={host} value={host} />
        ))}
      </datalist>
      <label>
        Address
        <input name="ip" placeholder="as its agents have it" />
      </label>
      <label>
        From
        <input name="start" type="datetime-local" required />
      </label>
      <label>
        For how many hours
        <input name="hours" type="number" min="0" step="any" placeholder="no end" />
      </label>
    </Action>
  );
}
