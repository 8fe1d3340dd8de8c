// A way to the server that tests can cut, narrow and listen at: a proxy as there are many between pages and servers.
import { createServer, request } from "node:http";
import { connect } from "node:net";

export class Way {
  /** Answers in the server's place: [what a request line begins with, status]. */
  refused = [];
  /** What request lines begin with whose answers are held back for ever, as by a proxy that buffers. */
  held = [];
  /** So many answers to publishes are still to be lost on their way back. */
  losing = 0;
  /** So many have been lost: the server has done what the client will not hear of. */
  lost = 0;
  /** Requests that came by, as `GET /v1/poll`; their headers and URLs. */
  seen = [];
  #sockets = new Set();
  #server;
  #target;

  static async to(url) {
    const way = new Way();
    way.#target = new URL(url);
    way.#server = createServer((asked, answer) => way.#pass(asked, answer));
    way.#server.on("upgrade", (asked, socket, head) => way.#upgrade(asked, socket, head));
    way.#server.on("connection", (socket) => way.#keep(socket));
    await way.open();
    return way;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  count(line) {
    return this.seen.filter((asked) => asked.line.startsWith(line)).length;
  }

  /** Opens it, again at the port that it had. */
  async open() {
    await new Promise((resolve) => this.#server.listen(this.port ?? 0, "127.0.0.1", resolve));
    this.port = this.#server.address().port;
  }

  /** Cuts what is under way. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #keep(socket) {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
  }

  #note(asked) {
    const line = `${asked.method} ${asked.url}`;
    this.seen.push({ line, headers: asked.headers });
    return line;
  }

  #pass(asked, answer) {
    const line = this.#note(asked);
    const refused = this.refused.find(([begin]) => line.startsWith(begin));
    if (refused) return void answer.writeHead(refused[1]).end("a proxy's words");
    const isHeld = this.held.some((begin) => line.startsWith(begin));
    const isLost = this.losing > 0 && asked.method === "POST" && asked.url.endsWith("/events");
    if (isLost) this.losing -= 1;
    const { hostname, port } = this.#target;
    const further = request({ hostname, port, path: asked.url, method: asked.method, headers: asked.headers }, (back) => {
      if (isHeld) return void back.resume();
      if (isLost) {
        this.lost += 1;
        return void answer.destroy();
      }
      answer.writeHead(back.statusCode, back.headers);
      answer.flushHeaders();
      back.on("error", () => answer.destroy());
      back.pipe(answer);
    });
    further.on("socket", (socket) => this.#keep(socket));
    further.on("error", () => answer.destroy());
    answer.on("close", () => further.destroy());
    asked.pipe(further);
  }

  #upgrade(asked, socket, head) {
    const line = this.#note(asked);
    const refused = this.refused.find(([begin]) => line.startsWith(begin));
    if (refused) return void socket.end(`HTTP/1.1 ${refused[1]} No\r\nContent-Length: 0\r\n\r\n`);
    const far = connect(Number(this.#target.port), this.#target.hostname);
    this.#keep(far);
    const headers = Object.entries(asked.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    far.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${headers.join("")}\r\n`);
    far.write(head);
    far.pipe(socket).pipe(far);
    for (const end of [socket, far]) end.on("close", () => [socket, far].forEach((other) => other.destroy()));
  }
}
