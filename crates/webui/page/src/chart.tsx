/** Lines over time, drawn as one small picture. */

export interface Sample {
  at: number;
  used: number;
  offered: number;
  all: number;
}

const WIDTH = 300;
const HEIGHT = 72;

export function Chart({ name, samples }: { name: string; samples: Sample[] }) {
  const last = samples.at(-1);
  const begin = samples[0]?.at ?? 0;
  const span = Math.max(1, (last?.at ?? 0) - begin);
  const most = Math.max(1e-9, ...samples.map((sample) => sample.all));
  const x = (at: number) => ((WIDTH * (at - begin)) / span).toFixed(1);
  const y = (value: number) => (HEIGHT - 1 - ((HEIGHT - 2) * value) / most).toFixed(1);
  const area = (value: (sample: Sample) => number) => {
    const points = samples.map((sample) => `${x(sample.at)},${y(value(sample))}`);
    return `0,${HEIGHT} ${points.join(" ")} ${last ? x(last.at) : 0},${HEIGHT}`;
  };
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${name} over the last minutes`}
    >
      <polygon class="offered" points={area((sample) => sample.used + sample.offered)} />
      <polygon class="used" points={area((sample) => sample.used)} />
    </svg>
  );
}
