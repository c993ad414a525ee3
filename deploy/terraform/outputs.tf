output "images" {
  description = "Where images are pushed to: IMAGES of compose.yaml."
  value       = local.images
}

output "models" {
  description = "Where models are copied to, as SERVICE/VERSION."
  value       = google_storage_bucket.these["models"].url
}

output "backups" {
  description = "Where a host may copy its backups to."
  value       = google_storage_bucket.these["backups"].url
}

output "services" {
  description = "Addresses of the services."
  value       = { for name, service in google_cloud_run_v2_service.service : name => service.uri }
}
