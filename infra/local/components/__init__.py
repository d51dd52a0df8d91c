"""One file a component: how it is started and how one knows that it serves. Nothing here runs anything."""
