#!/usr/bin/env sh
# Deploy hook of acme.sh: copy it to ~/.acme.sh/deploy/dane_renew.sh, and run
# acme.sh --deploy -d HOST --deploy-hook dane_renew once. acme.sh repeats it after each renewal.

# dane_renew_deploy NAME KEY CERTIFICATE CA FULLCHAIN hands over the certificate to dane-renew.
dane_renew_deploy() {
  dane-renew renew "$1" "$5" "$2"
  # 1: published, but not safe to serve yet. The timer of dane-renew continues.
  [ "$?" -le 1 ]
}
