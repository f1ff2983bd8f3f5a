// The system calls of the load side: sockets and epoll of Linux by way of bun:ffi, without an event loop between, because
// every microsecond spent here is one that a reader cannot be served in. Failures are negative, as libc has them.
import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";

const { i32, u32, u64 } = FFIType;
const address = FFIType.ptr;
const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: address },
  accept4: { args: [i32, address, address, i32], returns: i32 },
  bind: { args: [i32, address, u32], returns: i32 },
  close: { args: [i32], returns: i32 },
  connect: { args: [i32, address, u32], returns: i32 },
  epoll_create1: { args: [i32], returns: i32 },
  epoll_ctl: { args: [i32, i32, i32, address], returns: i32 },
  epoll_wait: { args: [i32, address, i32, i32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  recv: { args: [i32, address, u64, i32], returns: i32 },
  send: { args: [i32, address, u64, i32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, address, u32], returns: i32 },
  socket: { args: [i32, i32, i32], returns: i32 },
});

const nonBlocking = 0o4000;
const noWaitNoSignal = 0x4040; // MSG_DONTWAIT | MSG_NOSIGNAL
const stream = 1 | nonBlocking;
const internet = 2;
const again = 11; // EAGAIN
const inProgress = 115; // EINPROGRESS
const one = new Int32Array([1]);

export const readable = 0x001; // EPOLLIN
export const writable = 0x004; // EPOLLOUT
const edgeTriggered = 0x8000_0000;

/** Non-blocking, and so is what it accepts; small segments leave at once. */
export function listenOn(port: number): number {
  const fd = libc.socket(internet, stream, 0);
  libc.setsockopt(fd, 1, 2, ptr(one), 4); // SO_REUSEADDR
  libc.setsockopt(fd, 6, 1, ptr(one), 4); // TCP_NODELAY, which the accepted ones inherit
  if (libc.bind(fd, ptr(loopback(port)), 16) !== 0 || libc.listen(fd, 4096) !== 0)
    throw new Error(`cannot listen on port ${port}`);
  return fd;
}

/** A connection that is being made; it is writable when it is there. */
export function connectTo(port: number): number {
  const fd = libc.socket(internet, stream, 0);
  libc.setsockopt(fd, 6, 1, ptr(one), 4);
  if (libc.connect(fd, ptr(loopback(port)), 16) !== 0 && errno() !== inProgress)
    throw new Error(`cannot connect to port ${port}`);
  return fd;
}

export const accept = (listener: number) => libc.accept4(listener, null, null, nonBlocking);
export const close = (fd: number) => void libc.close(fd);

/** Bytes taken by the kernel; 0 where it has no room, -1 where the connection is gone. */
export function send(fd: number, from: number, length: number): number {
  const sent = libc.send(fd, from as Pointer, length, noWaitNoSignal);
  return sent < 0 && errno() === again ? 0 : sent;
}

/** Bytes read; -1 where there are none, 0 where the connection is at its end or broken. */
export function receive(fd: number, into: number, length: number): number {
  const received = libc.recv(fd, into as Pointer, length, noWaitNoSignal);
  return received < 0 && errno() !== again ? 0 : received;
}

export const pointerTo = (bytes: Uint8Array): number => ptr(bytes);

/** Who is ready, told once for each time something comes (edge-triggered). */
export class Poll {
  readonly #fd = libc.epoll_create1(0);
  readonly #max = 1024;
  readonly #events = new Uint8Array(12 * this.#max);
  readonly #view = new DataView(this.#events.buffer);
  readonly #pointer = ptr(this.#events);

  add(fd: number, mask: number): void {
    const event = new DataView(new ArrayBuffer(12));
    event.setUint32(0, (mask | edgeTriggered) >>> 0, true);
    event.setUint32(4, fd, true);
    if (libc.epoll_ctl(this.#fd, 1, fd, ptr(event)) !== 0) throw new Error(`cannot watch descriptor ${fd}`);
  }

  wait(timeoutMs: number, ready: (fd: number, mask: number) => void): void {
    const count = libc.epoll_wait(this.#fd, this.#pointer, this.#max, timeoutMs);
    for (let i = 0; i < count; i++)
      ready(this.#view.getUint32(12 * i + 4, true), this.#view.getUint32(12 * i, true));
  }

  close(): void {
    libc.close(this.#fd);
  }
}

function errno(): number {
  return read.i32(libc.__errno_location() as Pointer);
}

function loopback(port: number): Uint8Array {
  return new Uint8Array([internet, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
}
