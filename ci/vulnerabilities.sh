#!/usr/bin/env bash
# Fails if a module that go.mod names has a known vulnerability, whether or not the program comes near it. Those of the
# installed Go are told, and fail nothing: the remedy is another Go, not another commit.
# The database is the newest that the Go module proxy has (golang.org/x/vulndb), so that nothing else is asked.
set -euo pipefail
cd "$(dirname "$0")/.."

database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
module=$(go mod download -json golang.org/x/vulndb@latest)
field() { sed -n "s/^\t\"$1\": \"\(.*\)\",*$/\1/p" <<<"$module"; }
version=$(field Version)
go run "golang.org/x/vulndb/cmd/indexdb@$version" -vulns "$(field Dir)/data/osv" -out "$database"
known=$(find "$database/ID" -type f | wc -l)
[ "$known" -gt 1000 ] || {
	echo "vulnerabilities: the database golang.org/x/vulndb@$version has only $known entries" >&2
	exit 1
}

code=0
GOBIN=$database go install golang.org/x/vuln/cmd/govulncheck@v1.9.0
found=$("$database/govulncheck" -db "file://$database" -scan module) || code=$?
case $code in
0) ;;
3) echo "$found" ;;
*)
	echo "$found"
	echo "vulnerabilities: govulncheck failed" >&2
	exit 1
	;;
esac
if grep -q '^ *Module: ' <<<"$found"; then
	echo "vulnerabilities: go.mod names modules with known vulnerabilities (above); go get the versions that fix them" >&2
	exit 1
fi
if [ $code -ne 0 ]; then
	echo "vulnerabilities: those above are of $(go env GOVERSION); a newer Go has them fixed"
fi
echo "vulnerabilities: none of $known known ones is in a module of go.mod (golang.org/x/vulndb@$version)"
