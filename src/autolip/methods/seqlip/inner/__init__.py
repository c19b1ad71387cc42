"""The inner problem  max over lo <= s <= hi of || A diag(s) B ||_2:  solved, estimated, bounded."""
