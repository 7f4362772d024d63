select at, verdict from verifications
