// Work that may wait, such as colours and formulas: in each frame only as much of it as leaves the frame fluid.

/** Does a step, and says whether another is left. */
type Work = () => boolean;

const perFrameMs = 5;
const waiting: Work[] = [];
let spentMs = 0;
let frame = 0;

/** Does the work step by step, at once as far as this frame has time for it, after all that was given before. */
export function paced(work: Work) {
  waiting.push(work);
  proceed();
}

function proceed() {
  while (spentMs < perFrameMs) {
    const work = waiting.shift();
    if (work === undefined) break;
    const begunMs = performance.now();
    if (work()) waiting.unshift(work);
    spentMs += performance.now() - begunMs;
  }
  if (frame === 0)
    frame = requestAnimationFrame(() => {
      frame = 0;
      spentMs = 0;
      if (waiting.length > 0) proceed();
    });
}
