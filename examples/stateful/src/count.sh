# Counts up once in a second, in a file of the volume. What is under the name `count` is whole.
set -e
while :; do
  count=$(cat data/count 2>/dev/null || echo 0)
  echo $((count + 1)) > data/next
  mv data/next data/count
  cat data/count
  sleep 1
done
