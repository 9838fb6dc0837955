/** Lines over time, drawn as one small picture. */

export interface Sample {
  at: number;
  used: number;
  offered: number;
  all: number;
}

const WIDTH = 300;
const HEIGHT = 72;

/** Between samples that are further apart, in seconds, nothing is known. */
const GAP = 10;

/** The samples in pieces that belong together: while nobody answered or looked, there were none. */
export function runsOf(samples: Sample[]): Sample[][] {
  const runs: Sample[][] = [];
  for (const [n, sample] of samples.entries()) {
    const before = samples[n - 1];
    if (before === undefined || sample.at - before.at > GAP) runs.push([]);
    runs.at(-1)?.push(sample);
  }
  return runs;
}

export function Chart({ name, samples }: { name: string; samples: Sample[] }) {
  const last = samples.at(-1);
  const begin = samples[0]?.at ?? 0;
  const span = Math.max(1, (last?.at ?? 0) - begin);
  const most = Math.max(1e-9, ...samples.map((sample) => sample.all));
  const x = (at: number) => ((WIDTH * (at - begin)) / span).toFixed(1);
  const y = (value: number) => (HEIGHT - 1 - ((HEIGHT - 2) * value) / most).toFixed(1);
  const area = (run: Sample[], value: (sample: Sample) => number) => {
    const points = run.map((sample) => `${x(sample.at)},${y(value(sample))}`);
    return `${x(run[0]?.at ?? 0)},${HEIGHT} ${points.join(" ")} ${x(run.at(-1)?.at ?? 0)},${HEIGHT}`;
  };
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${name} over the last minutes`}
    >
      {runsOf(samples).map((run) => (
        <g key={run[0]?.at}>
          <polygon class="offered" points={area(run, (sample) => sample.used + sample.offered)} />
          <polygon class="used" points={area(run, (sample) => sample.used)} />
        </g>
      ))}
    </svg>
  );
}
