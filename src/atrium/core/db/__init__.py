"""The ground under every table: entities, columns, what types look like on the wire, connections and migrations."""
