#!/bin/sh
# Make the bucket of published models, and a user who may do nothing but read and write in it.
set -eu
mc alias set storage http://minio:9000 "$(cat /run/secrets/minio_root_user)" "$(cat /run/secrets/minio_root_password)" --quiet
mc mb --ignore-existing storage/gatehouse-models
mc version enable storage/gatehouse-models
mc admin user add storage gatehouse "$(cat /run/secrets/minio_gatehouse_password)"
cat > /tmp/policy.json <<'POLICY'
{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::gatehouse-models"]},
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::gatehouse-models/*"]}
  ]
}
POLICY
mc admin policy create storage gatehouse-models /tmp/policy.json
mc admin policy attach storage gatehouse-models --user gatehouse || mc admin policy entities storage --user gatehouse | grep -q gatehouse-models
