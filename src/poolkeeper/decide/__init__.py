"""Pure decisions: from the declared cluster and the observed one to findings, checks and plans. No I/O."""
