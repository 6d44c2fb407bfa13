// Writing through a Vecferry sidecar from TypeScript, on Node 18 or later: announce, send, end.

/** An id as the source types it. A number beyond 2^53 must be a bigint. */
export type Id = number | bigint | string | { uuid: string };

/** The write must not be sent now. */
export class Unavailable extends Error {
  readonly afterMs: number;

  constructor(reason: string, afterMs: number) {
    super(reason);
    this.afterMs = afterMs;
  }
}

/** Throw it from `send` where the source has definitely refused the write. */
export class Refused extends Error {}

interface Opened {
  ticket: string;
  send_within_s: number;
  request_max_s: number;
}

export class Sidecar {
  readonly #url: string;
  readonly #token: string;

  constructor(url = "http://127.0.0.1:8723", token = "") {
    this.#url = url;
    this.#token = token;
  }

  /** Announces a write of these ids, sends it, and ends it with its outcome. */
  async write<T>(
    collection: string,
    verb: "upsert" | "delete" | "unknown",
    ids: Id[],
    send: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const body = `{"collection": ${JSON.stringify(collection)}, "verb": "${verb}", "ids": [${ids.map(spell)}]}`;
    const opened = (await this.#post("begin", body)) as Opened;
    let outcome = "unknown";
    try {
      const answer = await send(AbortSignal.timeout(opened.request_max_s * 1000));
      outcome = "done";
      return answer;
    } catch (error) {
      if (error instanceof Refused) outcome = "done";
      throw error;
    } finally {
      await this.#end(opened.ticket, outcome);
    }
  }

  async #end(ticket: string, outcome: string): Promise<void> {
    try {
      await this.#post("end", JSON.stringify({ ticket, outcome }));
    } catch (error) {
      // the write is read back without its end, when its time is over
      console.warn("the end of a write was not told:", error);
    }
  }

  async #post(name: string, body: string): Promise<unknown> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    let reply: Response;
    try {
      const signal = AbortSignal.timeout(15_000);
      reply = await fetch(`${this.#url}/v1/writes/${name}`, { method: "POST", headers, body, signal });
    } catch (error) {
      throw new Unavailable(String(error), 1_000);
    }
    if (reply.ok) return reply.json();
    const told = await reply.text();
    if (reply.status !== 503) throw new Error(`${reply.status}: ${told}`);
    throw new Unavailable(told, 1_000 * Number(reply.headers.get("retry-after") ?? 1));
  }
}

function spell(id: Id): string {
  // JSON.stringify knows no bigint
  return typeof id === "bigint" ? id.toString() : JSON.stringify(id);
}

// An example: points 1 and 2 are written by your own client, in `send`.
//
//   const sidecar = new Sidecar();
//   await sidecar.write("docs", "upsert", [1, 2], (signal) => client.upsert("docs", points, { signal }));
