# `terraform test` plans with a provider that has the real one's schema and asks no cloud.
mock_provider "google" {}

variables {
  project = "example"
}

run "without_a_tag_there_is_what_is_pushed_to" {
  command = plan

  assert {
    condition     = length(google_cloud_run_v2_service.service) == 0
    error_message = "A service without an image was planned."
  }
  assert {
    condition     = keys(google_storage_bucket.these) == ["backups", "models"]
    error_message = "A bucket is missing."
  }
  assert {
    condition     = alltrue([for bucket in google_storage_bucket.these : bucket.public_access_prevention == "enforced"])
    error_message = "A bucket may be made public."
  }
  assert {
    condition     = output.images == "us-central1-docker.pkg.dev/example/portfolio"
    error_message = "The images have another address: ${output.images}."
  }
}

run "each_service_serves_its_model_and_costs_nothing_while_nobody_asks" {
  command = plan
  variables {
    tag     = "0123abc"
    models  = { housing = "7", image-classifier = "1", recommender = "1" }
    callers = ["user:ann@example.com"]
  }

  assert {
    condition     = keys(google_cloud_run_v2_service.service) == ["housing", "image-classifier", "recommender"]
    error_message = "Not the three services."
  }
  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.service : s.template[0].scaling[0].min_instance_count == 0])
    error_message = "An instance is paid while nobody asks."
  }
  assert {
    condition     = google_cloud_run_v2_service.service["housing"].template[0].containers[0].image == "us-central1-docker.pkg.dev/example/portfolio/housing-service:0123abc"
    error_message = "Another image than that of the tag."
  }
  assert {
    condition = {
      for each in google_cloud_run_v2_service.service["image-classifier"].template[0].containers[0].env : each.name => each.value
      if each.name != "PORTFOLIO_PREDICTION_LOG"
      } == {
      IMAGE_CLASSIFIER_BUNDLE            = "/models/image-classifier/1"
      IMAGE_CLASSIFIER_API_KEYS          = ""
      IMAGE_CLASSIFIER_OPEN_WITHOUT_KEYS = "true"
    }
    error_message = "Other settings than the service knows."
  }
  assert {
    condition     = google_cloud_run_v2_service.service["housing"].template[0].volumes[0].gcs[0].read_only
    error_message = "A service may write to the models."
  }
  assert {
    condition     = [for grant in google_cloud_run_v2_service_iam_member.callers : grant.member] == [for _ in range(3) : "user:ann@example.com"]
    error_message = "Others may ask than the callers."
  }
}

run "pictures_have_the_memory_that_they_have_in_compose" {
  command = plan
  variables {
    tag = "0123abc"
  }

  assert {
    condition     = google_cloud_run_v2_service.service["image-classifier"].template[0].containers[0].resources[0].limits["memory"] == "1Gi"
    error_message = "Another memory than its own."
  }
}

run "the_password_of_the_log_is_no_plain_setting" {
  command = plan
  variables {
    tag            = "0123abc"
    prediction_log = "postgresql://ann:secret@db.example/log"
  }

  assert {
    condition = alltrue(flatten([
      for service in google_cloud_run_v2_service.service : [
        for each in service.template[0].containers[0].env :
        each.value_source[0].secret_key_ref[0].secret == "portfolio-prediction-log"
        if each.name == "PORTFOLIO_PREDICTION_LOG"
      ]
    ]))
    error_message = "The address of the log is not read from its secret."
  }
}

run "what_anybody_reaches_needs_keys" {
  command = plan
  variables {
    public = true
  }
  expect_failures = [var.api_keys]
}

run "latest_is_no_tag" {
  command = plan
  variables {
    tag = "latest"
  }
  expect_failures = [var.tag]
}

run "a_log_is_no_file" {
  command = plan
  variables {
    prediction_log = "sqlite:////srv/predictions/log.db"
  }
  expect_failures = [var.prediction_log]
}
