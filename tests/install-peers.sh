#!/bin/sh
# Installs the apt packages named in the arguments that are missing, if that is allowed here; says so if not.
# Always succeeds: tests without their peer are skipped with the reason.
missing=
for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here. Without$missing some tests are skipped."
    exit 0
fi
sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    if ! sudo -n true 2>/dev/null; then
        echo "To run every test: sudo apt-get install$missing"
        echo "Without them some tests are skipped."
        exit 0
    fi
fi
echo "Installing$missing ..."
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
    # the tests start their own peers: the packages' services stay down
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod +x $policy && made=yes
fi
$sudo apt-get update -qq &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "apt-get could not install$missing: the tests that need them are skipped."
[ -z "$made" ] || $sudo rm -f $policy
exit 0
