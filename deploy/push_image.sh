#!/usr/bin/env bash
# Build the image of the checked-out commit, push it to the account's registry, and write its name into cluster.yaml.
#
#   deploy/push_image.sh [--torch-index URL]
#
# Needs docker, git and the AWS command line with credentials that may create and fill the repository `roadsense`.
set -euo pipefail
cd "$(dirname "$0")/.."

region=${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}
torch_index=
while [ $# -gt 0 ]; do
  case $1 in
    --torch-index) torch_index=${2:?--torch-index needs a URL}; shift 2 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "push_image.sh: unknown argument $1; see --help" >&2; exit 2 ;;
  esac
done
for tool in docker git aws; do
  command -v "$tool" > /dev/null || { echo "push_image.sh: $tool is not installed; install it first" >&2; exit 4; }
done
if [ -n "$(git status --porcelain)" ]; then
  echo "push_image.sh: there are uncommitted changes, so the commit would not say what is in the image; commit or stash them" >&2
  exit 2
fi

commit=$(git rev-parse HEAD)
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$region.amazonaws.com
image=$registry/roadsense:${commit:0:12}

aws ecr describe-repositories --region "$region" --repository-names roadsense > /dev/null 2>&1 \
  || aws ecr create-repository --region "$region" --repository-name roadsense --image-scanning-configuration scanOnPush=true > /dev/null
# Money: images bill by the gigabyte and month; the newest three are enough to go on with any run.
aws ecr put-lifecycle-policy --region "$region" --repository-name roadsense --lifecycle-policy-text \
  '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}}]}' > /dev/null
aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry"
docker build --build-arg "GIT_COMMIT=$commit" --build-arg "TORCH_INDEX=$torch_index" --tag "$image" .
docker push "$image"
sed -i "s#^  image: .*#  image: $image#" cluster.yaml
echo "pushed $image; cluster.yaml names it (commit that)"
