// Numbers for people.

export const whole = (v) => Math.round(v).toLocaleString('en');
export const significant = (v, digits = 3) => {
  if (v === 0) return '0';
  const size = Math.abs(v);
  return size < 1e-4 || size >= 1e6
    ? v.toExponential(digits - 1)
    : Number(v.toPrecision(digits)).toLocaleString('en', {maximumFractionDigits: 8});
};
export const fixed = (v, digits) => (v === null || v === undefined ? '–' : v.toFixed(digits));
export const percent = (v, digits = 2) => (v === null || v === undefined ? '–' : `${(100 * v).toFixed(digits)} %`);
export const pace = (v) => (v === null || v === undefined ? '–' : v < 100 ? v.toFixed(1) : whole(v));
// decimals writes the values of an axis whose marks are step apart.
export const decimals = (step) => Math.max(0, Math.min(8, Math.ceil(-Math.log10(step) - 1e-9)));

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
