import { Refusal } from "./files";
import { Records, record } from "./recordio";
import type { ContainerId } from "./state";

/** A shell inside of a container, by the agent's own API: a container in the container, with a terminal. */

export interface Size {
  rows: number;
  columns: number;
}

/** The shell that people know, or the one that is always there. */
const SHELL = "if command -v bash >/dev/null 2>&1; then exec bash -i; else exec sh -i; fi";

/** What programs take the terminal for. */
const TERM = "xterm-256color";

const BASE = "/api/v1";

/** What the agent sends of a container's output. */
interface ProcessIo {
  type?: string;
  data?: { type?: string; data?: string };
}

/** Input for the container, as the agent takes it. */
type Input =
  | { type: "DATA"; data: { type: "STDIN"; data: string } }
  | { type: "CONTROL"; control: { type: "TTY_INFO"; tty_info: { window_size: Size } } };

export class Session {
  private readonly id: ContainerId;
  private text = "";
  private size: Size | undefined;
  private open = false;
  private sending = false;

  /** A shell in the innermost of these containers. `fail` is told what becomes of input that is refused. */
  constructor(
    containers: string[],
    private readonly show: (output: Uint8Array) => void,
    private readonly fail: (error: Error) => void,
  ) {
    const path = [...containers, unique()];
    this.id = path.reduce<ContainerId | undefined>(
      (parent, value) => (parent ? { value, parent } : { value }),
      undefined,
    ) as ContainerId;
  }

  /** Starts the shell and shows what it prints, until it has ended. It is killed by `signal`. */
  async run(size: Size, signal: AbortSignal): Promise<void> {
    const answer = await post(
      "application/json",
      JSON.stringify({
        type: "LAUNCH_NESTED_CONTAINER_SESSION",
        launch_nested_container_session: {
          container_id: this.id,
          command: {
            value: SHELL,
            environment: { variables: [{ name: "TERM", type: "VALUE", value: TERM }] },
          },
          container: { type: "MESOS", tty_info: { window_size: size } },
        },
      }),
      { Accept: "application/recordio", "Message-Accept": "application/json" },
      signal,
    );
    const reader = answer.body?.getReader();
    if (!reader) return;
    this.open = true;
    void this.pump();
    const records = new Records();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const text of records.push(value)) {
        const io = JSON.parse(text) as ProcessIo;
        if (io.type === "DATA" && io.data?.data) this.show(decode(io.data.data));
      }
    }
    this.open = false;
  }

  /** Types a text. What is typed while the last of it is on its way goes along with the next. */
  type(text: string): void {
    this.text += text;
    void this.pump();
  }

  /** Tells the programs how large the terminal is now. */
  resize(size: Size): void {
    this.size = size;
    void this.pump();
  }

  /** Input is a request each time: browsers cannot send what has no end yet. */
  private async pump(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    while (this.open && (this.text !== "" || this.size)) {
      const inputs: Input[] = [];
      if (this.size) {
        const tty_info = { window_size: this.size };
        inputs.push({ type: "CONTROL", control: { type: "TTY_INFO", tty_info } });
      }
      if (this.text !== "") {
        inputs.push({ type: "DATA", data: { type: "STDIN", data: encode(this.text) } });
      }
      this.text = "";
      this.size = undefined;
      try {
        await this.send(inputs);
      } catch (error) {
        // A shell that has ended takes no more, and that is said by its end.
        if (this.open) this.fail(error as Error);
      }
    }
    this.sending = false;
  }

  private async send(inputs: Input[]): Promise<void> {
    const calls = [
      { type: "CONTAINER_ID", container_id: this.id },
      ...inputs.map((process_io) => ({ type: "PROCESS_IO", process_io })),
    ].map((attach_container_input) => ({ type: "ATTACH_CONTAINER_INPUT", attach_container_input }));
    await post("application/recordio", calls.map((call) => record(JSON.stringify(call))).join(""), {
      "Message-Content-Type": "application/json",
      Accept: "application/json",
    });
  }
}

async function post(
  type: string,
  body: string,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<Response> {
  const request: RequestInit = { method: "POST", headers: { "Content-Type": type, ...headers }, body };
  let answer: Response;
  try {
    answer = await fetch(BASE, signal ? { ...request, signal } : request);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal("The agent did not answer. Look whether it runs, and try again.");
  }
  if (answer.ok) return answer;
  const text = (await answer.text()).trim();
  throw new Refusal(text || `The agent refused: ${answer.status} ${answer.statusText}`);
}

/** A name that no other container has. (`randomUUID` is kept from pages that come over plain HTTP.) */
function unique(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `terminal-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function encode(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function decode(data: string): Uint8Array {
  return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
}
