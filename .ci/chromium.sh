#!/usr/bin/env bash
# Chromium, in which a test opens the report page. Debian's package; nothing is done where a browser is there.
set -euo pipefail

for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" > /dev/null; then
        exit 0
    fi
done
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    sudo="sudo"
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
