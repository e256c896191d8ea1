#!/usr/bin/env bash
# Trains nin-bn on the embedded sample of real images and says what comes next. Arguments go to ninvk train. NINVK is
# the command that runs the program, if it is not bin/ninvk; see container-quickstart in the Makefile.
set -euo pipefail
cd "$(dirname "$0")/.."

echo
echo "Training nin-bn on 1,000 real images of CIFAR-10, which are part of the program, at 24x24 pixels to be quick."
echo "About three minutes on two CPU cores, much less on a GPU."
echo
read -ra ninvk <<<"${NINVK:-bin/ninvk}"
"${ninvk[@]}" train --data sample "$@"
cat <<END

loss.png beside the accuracy plot shows the loss of every step. So small a sample teaches little; next, the whole data
set:

    ${ninvk[*]} data fetch
    ${ninvk[*]} train --data data
END
