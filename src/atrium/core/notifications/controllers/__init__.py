"""The doors of notifications and mail: for their readers, for their socket, for administrators."""
